"""How many searches may be under way: as many as are answered within a time, by how fast they were answered lately."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pipeline.ranking import elapsed_ms, now
from pipeline.serving.errors import Failure, FailureError, failure

# A service that has answered nothing yet is taken to need this long for one search.
_FIRST_MS: Final = 20.0
_WEIGHT: Final = 0.1
# One that took far longer or shorter than the others says little about the next.
_MOST, _LEAST = 3.0, 0.3


class Limiter:
    """Admits a search if those under way and itself are expected to be done in time. For one event loop.

    With L under way and X answered a second, a new one waits L / X (Little's law). 1 / X is measured as the time of an
    answer over the number that shared it, which needs no full load to be right: a machine that answers four at once as
    fast as one shows it as soon as four come at once.

    Args:
        wait_ms: the longest wait that is expected of anyone; beyond that it is better to say so at once.
        least: so many are admitted in any case.
        most: and so many at most.
    """

    def __init__(self, wait_ms: float, least: int, most: int) -> None:
        self._wait_ms = wait_ms
        self._least = least
        self._most = most
        self._each_ms = _FIRST_MS
        self.under_way = 0

    @property
    def limit(self) -> int:
        """How many may be under way now."""
        return max(self._least, min(self._most, int(self._wait_ms / self._each_ms)))

    @property
    def is_full(self) -> bool:
        """Whether one more would be refused."""
        return self.under_way >= self.limit

    @property
    def refusal(self) -> Failure:
        """What one more is told."""
        return failure(429, "overloaded", f"{self.under_way} searches are under way, the limit now: try again")

    @contextmanager
    def admitted(self, weight: int = 1, *, learn: bool = True) -> Iterator[None]:
        """Count one more for as long as the `with` lasts.

        Args:
            weight: as how many searches it counts.
            learn: whether it is like others, so that its time says how long they take. A failure says nothing.

        Raises:
            FailureError: 429: there is no room.
        """
        if self.is_full:
            raise FailureError(self.refusal)
        self.under_way += weight
        start, at_first = now(), self.under_way
        try:
            yield
            if learn:
                self.note(elapsed_ms(start), (at_first + self.under_way) / 2)
        finally:
            self.under_way -= weight

    def note(self, spent_ms: float, shared_by: float) -> None:
        """Learn from an answer.

        Args:
            spent_ms: how long it took.
            shared_by: how many were under way while it was made, itself included.
        """
        each_ms = min(max(spent_ms / max(1.0, shared_by), _LEAST * self._each_ms), _MOST * self._each_ms)
        self._each_ms += _WEIGHT * (each_ms - self._each_ms)
