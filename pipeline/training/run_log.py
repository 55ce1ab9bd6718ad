"""Figures of a run, as JSON lines and as TensorBoard events; each step once, also where a run went on after a death."""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from pipeline.storage import explain
from pipeline.training.run_store import RunStore
from schemas.errors import StorageError

METRICS, EVENTS = "metrics.jsonl", "tensorboard"


class RunLog:
    """The log of a run's first worker.

    Lines and events stand on a local disk at once; in an object store, which cannot append, at each `save`.

    Args:
        store: of the run.
        step: where the run goes on; later lines, which a killed run left, are dropped, since they will come again.
    """

    def __init__(self, store: RunStore, step: int) -> None:
        self._store, self._step = store, step
        self._lines = self._kept_lines()
        self._writer: EventsWriter | None = None
        self._spool: tempfile.TemporaryDirectory[str] | None = None

    def _kept_lines(self) -> list[str]:
        if not self._store.exists(METRICS):
            return []
        lines = self._store.read(METRICS).decode(errors="replace").splitlines()
        kept = [line for line in lines if _step_of(line) <= self._step]
        if len(kept) < len(lines):
            self._store.write(METRICS, _text(kept))
        return kept

    def add(self, group: str, step: int, seconds: float, figures: dict[str, float]) -> None:
        """Log the figures of a step.

        Args:
            group: "train" or "validation"; it sorts TensorBoard's charts.
            step: steps done.
            seconds: since the run began or went on.
            figures: by name.

        Raises:
            StorageError: the disk is full, or cannot be written.
        """
        line = json.dumps({"step": step, "seconds": round(seconds, 1), **figures})
        self._lines.append(line)
        with self._told():
            events = self._events()
            for name, value in figures.items():
                events.write_event(Event(wall_time=time.time(), step=step, summary=scalar(f"{group}/{name}", value)))
            events.flush()
            if not self._store.is_remote:
                with Path(self._store.path(METRICS)).open("a", encoding="utf-8") as file:
                    file.write(f"{line}\n")

    def _events(self) -> EventsWriter:
        """The writer of this run's own event file.

        SummaryWriter would write in a thread: when the disk is full, it dies there, and the next calls wait for ever.
        """
        if self._writer is None:
            if self._store.is_remote:
                self._spool = tempfile.TemporaryDirectory(prefix="reelsift-")
            folder = Path(self._spool.name if self._spool else self._store.path(EVENTS))
            folder.mkdir(parents=True, exist_ok=True)
            # A file is named by the second, and a run that goes on within one would otherwise replace the file of the
            # run before. TensorBoard reads files in the order of their names: this suffix sorts by time.
            self._writer = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
            # TensorBoard drops what earlier files say of the steps that come again.
            start = SessionLog(status=SessionLog.START)
            self._writer.write_event(Event(wall_time=time.time(), step=self._step + 1, session_log=start))
        return self._writer

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"cannot write the log of {self._store.root}: {explain(error)}") from error

    def save(self) -> None:
        """Bring everything so far to the store.

        Raises:
            StorageError: the store refuses.
        """
        if self._spool is not None:
            self._store.write(METRICS, _text(self._lines))
            for path in sorted(Path(self._spool.name).iterdir()):
                self._store.upload(path, f"{EVENTS}/{path.name}")

    def close(self) -> None:
        """End the log; `save` comes first."""
        if self._writer is not None:
            with self._told():
                self._writer.close()
        if self._spool is not None:
            self._spool.cleanup()


def _step_of(line: str) -> float:
    """The step of a line; infinite for one that a killed run left half written.

    >>> _step_of('{"step": 3, "loss": 1.0}'), _step_of('{"step": 3, "lo')
    (3, inf)
    """
    try:
        step: Any = json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")
    return step if isinstance(step, int) else float("inf")


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
