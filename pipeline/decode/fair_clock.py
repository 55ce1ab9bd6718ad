"""A clock that stands nearly still while a process waits for a processor that others have.

A limit on wall time alone would call a good file a hang on a machine with more work than cores. The kernel counts how
long each thread was ready to run and did not (the second number of /proc/PID/task/TID/schedstat). That time counts
little here; sleeping and computing count whole, so a decoder that hangs or spins is ended as on an idle machine.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_LOOK_EVERY_S: Final = 0.05
# Of each second at the least; so a limit ends a process that gets no processor at all, too.
_LEAST_SHARE: Final = 0.03
_NANO: Final = 1e-9


def waited_s(pid: int) -> float:
    """Seconds that the living threads of a process were ready to run and did not; 0 where the system does not say."""
    total = 0
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        pass  # a thread, or all of them, ended meanwhile: what is known so far counts
    return total * _NANO


def counted_s(passed_s: float, waited_s: float) -> float:
    """What counts of a stretch of wall time in which the threads together waited so long for a processor.

    >>> [round(counted_s(10.0, waited), 2) for waited in (0.0, 4.0, 25.0, -1.0)]
    [10.0, 6.0, 0.3, 10.0]
    """
    return max(passed_s - max(0.0, waited_s), _LEAST_SHARE * passed_s)


class FairClock:
    """Seconds since it was made, as `counted_s` counts them for the process that it follows.

    Args:
        waited: of a process id, as `waited_s`.
        wall: a monotonic clock.
    """

    def __init__(self, waited: Callable[[int], float] = waited_s, wall: Callable[[], float] = time.monotonic) -> None:
        self._waited, self._wall = waited, wall
        self._pid = 0
        self._now_s = 0.0
        self._looked, self._waited_then = wall(), 0.0

    def follow(self, pid: int) -> None:
        """Look at this process from now on."""
        self.now()
        self._pid, self._waited_then = pid, self._waited(pid)

    def now(self) -> float:
        """What it shows; the processes are looked at every twentieth of a second at most."""
        passed_s = self._wall() - self._looked
        if passed_s < _LOOK_EVERY_S:
            # Later the same stretch may count more, but not less.
            return self._now_s + _LEAST_SHARE * passed_s
        waited = self._waited(self._pid) if self._pid else 0.0
        self._now_s += counted_s(passed_s, waited - self._waited_then)
        self._looked, self._waited_then = self._looked + passed_s, waited
        return self._now_s
