"""What a run needs to go on: weights, averaged weights, optimisers, step, the best figure so far, bad videos.

A checkpoint is an object of its own, and a small one that names the last two is written after it. So a run that is
killed while it writes leaves the one before in force, on a disk as in an object store.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.eercf import EercfModel
from pipeline.training.checkpoint_list import FOLDER, checkpoint_name, kept_steps, write_kept_steps
from pipeline.training.optimizer import Optimizers
from pipeline.training.run_store import RunStore
from schemas.errors import StorageError

_KEPT = 2


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: steps done.
        best_step: the one with the best validation.
        best_recall_1: its figure, percent.
        averaged: the averaged weights, empty without.
        bad: reason and detail of each video that could not be used.
    """

    step: int = 0
    best_step: int = 0
    best_recall_1: float = -1.0
    averaged: dict[str, Tensor] = field(default_factory=dict)
    bad: dict[str, tuple[str, str]] = field(default_factory=dict)


def save_checkpoint(store: RunStore, model: EercfModel, optimizers: Optimizers, progress: Progress) -> None:
    """Write a checkpoint as a whole or not at all, then let go of all but the last two.

    Raises:
        StorageError: the store refuses; the checkpoint before stays in force.
    """
    before = [step for step in kept_steps(store) if step < progress.step]
    with store.new_file(checkpoint_name(progress.step)) as path:
        _write({"model": model.state_dict(), "optimizers": optimizers.state(), "progress": vars(progress)}, path)
    kept = [progress.step, *before][:_KEPT]
    write_kept_steps(store, kept)
    names = {Path(checkpoint_name(step)).name for step in kept}
    for name in store.names(FOLDER, ".pt"):
        if name not in names:
            store.delete(f"{FOLDER}/{name}")


def _write(stored: dict[str, Any], path: Path) -> None:
    try:
        torch.save(stored, path)
    except RuntimeError as error:
        # What a disk refuses, torch tells as a fault of its archive, without the reason.
        free = shutil.disk_usage(path.parent).free
        raise OSError(f"the write failed with {free:,} bytes left on the disk") from error


def load_checkpoint(store: RunStore, model: EercfModel, optimizers: Optimizers) -> Progress:
    """Restore the run of a store; a fresh one where it holds none.

    Raises:
        StorageError: the checkpoint does not fit the model or cannot be read.
    """
    steps = kept_steps(store)
    if not steps:
        return Progress()
    stored = _read(store, steps, model.device)
    try:
        model.load_state_dict(stored["model"])
        optimizers.load(stored["optimizers"])
        return Progress(**stored["progress"])
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        text = " ".join(str(error).split())[:200]
        raise StorageError(
            f"cannot go on from {store.path(checkpoint_name(steps[0]))}: {text}; give another --out"
        ) from None


def _read(store: RunStore, steps: list[int], device: torch.device) -> dict[str, Any]:
    where = store.path(checkpoint_name(steps[0]))
    try:
        with store.local(checkpoint_name(steps[0])) as path:
            stored: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
            return stored
    except StorageError:
        raise
    except Exception as error:  # a damaged file shows as any of a dozen classes: zipfile's, pickle's, torch's own
        instead = f"from step {steps[1]}" if steps[1:] else "from the start"
        text = " ".join(str(error).split()).split(". ")[0][:120]
        raise StorageError(f"{where} is damaged ({text}); delete it to go on {instead}") from error
