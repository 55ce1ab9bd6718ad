"""Signs of life of a decoder: a long file may take long, and one that stands still may not.

Who waits for a file gives it so much time; with each sign that time begins anew. A sign is given after a stretch of
work, never by a clock, so a decoder that spins or hangs gives none.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

_T = TypeVar("_T")
FRAMES_A_SIGN: Final = 2_000
PACKETS_A_SIGN: Final = 200_000

Alive = Callable[[], None]


def SILENT() -> None:  # noqa: N802  (stands where a value does)
    """Tell nobody."""


def with_signs(items: Iterable[_T], alive: Alive, every: int = FRAMES_A_SIGN) -> Iterator[_T]:
    """The same items, with a sign after each `every` of them.

    >>> signs = []
    >>> list(with_signs("abcde", lambda: signs.append(1), every=2)), len(signs)
    (['a', 'b', 'c', 'd', 'e'], 2)
    """
    for number, item in enumerate(items, 1):
        if number % every == 0:
            alive()
        yield item
