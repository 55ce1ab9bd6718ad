"""Values by key, the last used ones, together below a limit."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class BoundedCache(Generic[_K, _V]):
    """A dictionary that forgets. Safe for threads.

    >>> cache = BoundedCache[str, bytes](limit=5, size=len)
    >>> for key in "abc":
    ...     cache.put(key, b"12")
    >>> [cache.get(key) for key in "abc"]
    [None, b'12', b'12']

    Args:
        limit: of all sizes together.
        size: of a value.
    """

    def __init__(self, limit: int, size: Callable[[_V], int]) -> None:
        self._limit = limit
        self._size = size
        self._held = 0
        self._values: OrderedDict[_K, _V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _K) -> _V | None:
        """The value, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: _K, value: _V) -> None:
        """Keep a value; the ones used longest ago go."""
        with self._lock:
            old = self._values.pop(key, None)
            self._held += self._size(value) - (0 if old is None else self._size(old))
            self._values[key] = value
            while self._held > self._limit and self._values:
                self._held -= self._size(self._values.popitem(last=False)[1])
