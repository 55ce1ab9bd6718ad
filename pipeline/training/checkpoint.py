"""What a run needs to go on: weights, averaged weights, optimisers, step and the best figure so far."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.eercf import EercfModel
from pipeline.training.optimizer import Optimizers
from schemas.errors import StorageError

CHECKPOINT = "checkpoint.pt"


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: steps done.
        best_step: the one with the best validation.
        best_recall_1: its figure, percent.
        averaged: the averaged weights, empty without.
    """

    step: int
    best_step: int
    best_recall_1: float
    averaged: dict[str, Tensor]


def save_checkpoint(folder: Path, model: EercfModel, optimizers: Optimizers, progress: Progress) -> None:
    """Write the checkpoint as a whole or not at all: a killed run leaves the last one in place."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{CHECKPOINT}.part"
    torch.save({"model": model.state_dict(), "optimizers": optimizers.state(), **vars(progress)}, part)
    os.replace(part, folder / CHECKPOINT)


def load_checkpoint(folder: Path, model: EercfModel, optimizers: Optimizers) -> Progress:
    """Restore the run of a folder; a fresh one where it holds none.

    Raises:
        StorageError: the checkpoint does not fit the model or cannot be read.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return Progress(0, 0, -1.0, {})
    try:
        stored: dict[str, Any] = torch.load(path, map_location=model.device, weights_only=True)
        model.load_state_dict(stored["model"])
        optimizers.load(stored["optimizers"])
        return Progress(stored["step"], stored["best_step"], stored["best_recall_1"], stored["averaged"])
    except (RuntimeError, KeyError, ValueError, OSError) as error:
        text = " ".join(str(error).split())[:200]
        raise StorageError(f"cannot go on from {path}: {text}; give another --out") from None
