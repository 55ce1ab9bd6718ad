"""Which checkpoints a run has: a small object that is written after them. It is read where no torch is loaded."""

import json
from collections.abc import Sequence

from pipeline.training.run_store import RunStore
from schemas.errors import StorageError

POINTER, FOLDER = "checkpoint.json", "checkpoints"


def checkpoint_name(step: int) -> str:
    """The object of a checkpoint.

    >>> checkpoint_name(40)
    'checkpoints/step-00000040.pt'
    """
    return f"{FOLDER}/step-{step:08d}.pt"


def kept_steps(store: RunStore) -> list[int]:
    """Steps of the checkpoints that are there, the newest first.

    Raises:
        StorageError: the store cannot be read, or what names them is damaged.
    """
    if not store.exists(POINTER):
        return []
    try:
        steps = [int(step) for step in json.loads(store.read(POINTER))["steps"]]
    except (ValueError, KeyError, TypeError):
        raise StorageError(f"{store.path(POINTER)} is damaged; give another --out") from None
    return [step for step in steps if store.exists(checkpoint_name(step))]


def steps_done(out: str) -> int:
    """Where a run goes on; 0 for a new one."""
    return next(iter(kept_steps(RunStore(out))), 0)


def write_kept_steps(store: RunStore, steps: Sequence[int]) -> None:
    """Put checkpoints in force, the newest first."""
    store.write(POINTER, json.dumps({"steps": list(steps)}).encode() + b"\n")
