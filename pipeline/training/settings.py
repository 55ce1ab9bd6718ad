"""The settings of a run, kept in its folder: a run goes on only with those it began with."""

import json
from typing import Any, Final

from pipeline.training.checkpoint_list import steps_done
from pipeline.training.run_store import RunStore
from schemas.errors import StorageError, UsageError
from schemas.training import TrainConfig

SETTINGS: Final = "settings.json"
# What may differ when a run goes on: how far, how fast, on what, and how often it tells. None of it changes the
# gradient of a step but for rounding; `steps` stretches the learning rate's course.
FREE: Final = frozenset(
    {
        "out",
        "steps",
        "micro_batch",
        "precision",
        "activation_checkpointing",
        "workers",
        "use_gpu",
        "max_failures",
        "cpus_per_worker",
        "loaders",
        "decode_timeout_s",
        "validate_every",
        "checkpoint_every",
        "log_every",
    }
)
_SHOWN = 80  # an architecture is long


def keep_settings(config: TrainConfig) -> None:
    """Write the settings of a new run; of one that goes on, check them first.

    Raises:
        UsageError: the run that `config.out` holds was begun with other settings.
        StorageError: the folder cannot be written, or its settings cannot be read.
    """
    store = RunStore(config.out)
    if steps_done(config.out) and store.exists(SETTINGS):
        try:
            before = dict(json.loads(store.read(SETTINGS)))
        except (ValueError, TypeError):
            raise StorageError(f"{store.path(SETTINGS)} is damaged; give another --out") from None
        refuse_other(before, config.model_dump(mode="json"), config.out)
    store.write(SETTINGS, config.model_dump_json(indent=2).encode() + b"\n")


def refuse_other(before: dict[str, Any], now: dict[str, Any], out: str) -> None:
    """Nothing, where both train the same; a setting that one of them lacks is passed over.

    >>> refuse_other({"seed": 0, "steps": 9}, {"seed": 0, "steps": 20}, "run")
    >>> refuse_other({"seed": 0}, {"seed": 5}, "run")
    Traceback (most recent call last):
        ...
    schemas.errors.UsageError: --out run holds a run made with seed=0, not seed=5; give another --out, or seed=0

    Raises:
        UsageError: a setting outside of `FREE` differs.
    """
    for name in sorted((before.keys() & now.keys()) - FREE):
        if before[name] != now[name]:
            was, wanted = (str(values[name])[:_SHOWN] for values in (before, now))
            raise UsageError(
                f"--out {out} holds a run made with {name}={was}, not {name}={wanted}; "
                f"give another --out, or {name}={was}"
            )
