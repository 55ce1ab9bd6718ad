"""Figures of a run, as JSON lines and as TensorBoard events; each step once, also where a run went on after a death."""

import json
import tempfile
import uuid
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from pipeline.training.run_store import RunStore

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
        self._writer: SummaryWriter | None = None
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
        """
        line = json.dumps({"step": step, "seconds": round(seconds, 1), **figures})
        self._lines.append(line)
        events = self._events()
        for name, value in figures.items():
            events.add_scalar(f"{group}/{name}", value, step)
        if not self._store.is_remote:
            # The writer of events has made the folder.
            with Path(self._store.path(METRICS)).open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")

    def _events(self) -> SummaryWriter:
        if self._writer is None:
            if self._store.is_remote:
                self._spool = tempfile.TemporaryDirectory(prefix="reelsift-")
            folder = self._spool.name if self._spool else self._store.path(EVENTS)
            # TensorBoard drops what earlier files say of the steps that come again. A file is named by the second, and
            # a run that goes on within one would otherwise replace the file of the run before.
            suffix = f".{uuid.uuid4().hex[:8]}"
            self._writer = SummaryWriter(folder, purge_step=self._step + 1, filename_suffix=suffix)
        return self._writer

    def save(self) -> None:
        """Bring everything so far to the store.

        Raises:
            StorageError: the store refuses.
        """
        if self._writer is not None:
            self._writer.flush()
        if self._spool is not None:
            self._store.write(METRICS, _text(self._lines))
            for path in sorted(Path(self._spool.name).iterdir()):
                self._store.upload(path, f"{EVENTS}/{path.name}")

    def close(self) -> None:
        """End the log; `save` comes first."""
        if self._writer is not None:
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
