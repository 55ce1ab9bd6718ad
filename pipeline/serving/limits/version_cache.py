"""What a replica holds of each index version: loaded at first use, closed when newer ones replaced it."""

import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_T = TypeVar("_T")


class VersionCache(Generic[_K, _T]):
    """Values by version, safe for threads. A key is a number, or more where a version has revisions.

    The newest `keep` versions in order of last use stay; an older one goes as soon as no one holds it. A load
    that fails is tried again by the next caller.

    Args:
        load: makes the value of a version; callers of other versions do not wait for it.
        close: releases a value.
        keep: how many versions stay.
    """

    def __init__(self, load: Callable[[_K], _T], close: Callable[[_T], None], keep: int = 2) -> None:
        self._load = load
        self._close = close
        self._keep = keep
        self._lock = threading.Lock()
        self._values: dict[_K, Future[_T]] = {}  # in order of last use
        self._holders: dict[_K, int] = {}

    @contextmanager
    def hold(self, version: _K) -> Iterator[_T]:
        """The value of a version; it stays open inside the `with`."""
        try:
            yield self._enter(version)
        finally:
            self._leave(version)

    def versions(self) -> list[_K]:
        """The versions held now, the last used one last."""
        with self._lock:
            return list(self._values)

    def close(self) -> None:
        """Release all."""
        with self._lock:
            values, self._values = list(self._values.values()), {}
        for value in values:
            self._release(value)

    def _enter(self, version: _K) -> _T:
        with self._lock:
            self._holders[version] = self._holders.get(version, 0) + 1
            future = self._values.pop(version, None)
            mine = future is None
            if future is None:
                future = Future()
            self._values[version] = future
        if mine:
            self._fill(version, future)
        return future.result()

    def _fill(self, version: _K, future: "Future[_T]") -> None:
        try:
            future.set_result(self._load(version))
        except BaseException as error:
            with self._lock:
                if self._values.get(version) is future:
                    del self._values[version]
            future.set_exception(error)
            raise

    def _leave(self, version: _K) -> None:
        with self._lock:
            self._holders[version] -= 1
            if not self._holders[version]:
                del self._holders[version]
            surplus = list(self._values)[: -self._keep]
            gone = [self._values.pop(old) for old in surplus if old not in self._holders]
        for future in gone:
            self._release(future)

    def _release(self, future: "Future[_T]") -> None:
        if future.done() and future.exception() is None:
            self._close(future.result())
