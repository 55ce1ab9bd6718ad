"""What a run shows of itself: a live bar on a terminal, plain lines in a log, and its peak memory."""

import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_LOG_EVERY_S = 10.0
_SAMPLE_EVERY_S = 0.5
# Reading a process's proportional size walks its pages: of a core, this share at most goes into that.
_SAMPLE_SHARE = 0.01


def eta_s(done: int, total: int, elapsed_s: float) -> float | None:
    """Seconds left at the pace so far; None while start-up still weighs more than the work, in the first tenth.

    >>> eta_s(5, 10, 20.0), eta_s(1, 100, 1.0)
    (20.0, None)
    """
    return elapsed_s / done * (total - done) if done * 10 > total else None


def progress_line(done: int, total: int, elapsed_s: float, notes: str) -> str:
    """One line of a log.

    >>> progress_line(5, 10, 20.0, "4 done, 1 quarantined")
    '5/10 sources (4 done, 1 quarantined), 0.25/s, 20 s left'
    """
    left = eta_s(done, total, elapsed_s)
    ending = f", {left:.0f} s left" if left is not None else ""
    return f"{done}/{total} sources ({notes}), {done / max(elapsed_s, 1e-9):.2f}/s{ending}"


class ProgressDisplay:
    """Progress on stderr: a bar where it is a terminal, else a line every ten seconds and one at the end."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._start = self._last = time.monotonic()
        self._bar = self._make_bar() if sys.stderr.isatty() else None
        self._task = self._bar.add_task("extract", total=total, notes="starting") if self._bar else None

    @staticmethod
    def _make_bar() -> Progress:
        columns = (TextColumn("extract"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Progress(*columns, TextColumn("{task.fields[notes]}"), console=Console(stderr=True))

    def __enter__(self) -> Self:
        """Start the bar."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the bar."""
        if self._bar:
            self._bar.stop()

    def advance(self, sources: int, notes: str) -> None:
        """Count `sources` more as processed."""
        self._done += sources
        now = time.monotonic()
        line = progress_line(self._done, self._total, now - self._start, notes)
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self._done, notes=line.partition(" ")[2])
        elif now - self._last >= _LOG_EVERY_S or self._done >= self._total:
            self._last = now
            sys.stderr.write(f"reelsift: {line}\n")
            sys.stderr.flush()


def resident_bytes(process: psutil.Process) -> int:
    """Proportional set size of a process: shared pages counted once over all processes; 0 if it is gone."""
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


class PeakMemory:
    """Peak of the summed memory of this process and all its descendants.

    It is sampled twice a second, and less often where many processes hold much, since reading it takes time.

    With a cluster elsewhere the workers are not descendants, and the figure is the driver's alone.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Start sampling."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take a last sample and stop."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while True:
            start = time.thread_time()
            try:
                family = [me, *me.children(recursive=True)]
            except psutil.Error:
                family = [me]
            self.peak_bytes = max(self.peak_bytes, sum(resident_bytes(process) for process in family))
            cost_s = time.thread_time() - start
            if self._stop.wait(max(_SAMPLE_EVERY_S, cost_s / _SAMPLE_SHARE)):
                return
