"""How a command that takes long says how far it is: a line every few seconds, to stderr."""

import sys
import time
from collections.abc import Callable

_EVERY_S = 5.0


def progress_lines(done_what: str) -> Callable[[int, int], None]:
    """A function of (done, total) that now and then prints a line.

    Args:
        done_what: ends the line, such as "tasks checked".
    """
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _EVERY_S:
            last = now
            print(f"reelsift: {done}/{total} {done_what}", file=sys.stderr, flush=True)

    return report
