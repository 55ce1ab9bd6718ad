"""The shell over Ray Train: starts the workers and their process group, and starts them again when one dies."""

import uuid
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch

from pipeline.cluster import connect, disconnect
from pipeline.training.loop import SUMMARY, train
from pipeline.training.source import check_data
from pipeline.training.start import starting_model
from schemas.errors import ReelsiftError
from schemas.training import TrainConfig, TrainSummary

_COLLECTIVE_TIMEOUT_S = 600


def train_job(config: TrainConfig) -> TrainSummary:
    """Train with `config.workers` workers of Ray Train; with 0 in this process, without Ray.

    A worker that dies takes its group with it; the group starts again from the last checkpoint in `config.out`, which
    all workers must see: on several machines it is a shared folder.

    Raises:
        ReelsiftError: model or data cannot be used, or a worker died more than `config.max_failures` times.
    """
    # A user's mistake shows here, before workers start, as one line instead of a worker's traceback.
    check_data(config)
    starting_model(config)
    if config.workers == 0:
        return train(config, "cuda" if config.use_gpu else "cpu")
    connect()
    try:
        return _fit(config)
    finally:
        disconnect()


def _fit(config: TrainConfig) -> TrainSummary:
    resources = {"CPU": config.cpus_per_worker} | ({"GPU": 1.0} if config.use_gpu else {})
    trainer = ray.train.torch.TorchTrainer(
        _worker,
        train_loop_config=config.model_dump(),
        scaling_config=ray.train.ScalingConfig(
            num_workers=config.workers, use_gpu=config.use_gpu, resources_per_worker=resources
        ),
        torch_config=ray.train.torch.TorchConfig(timeout_s=_COLLECTIVE_TIMEOUT_S),
        run_config=ray.train.RunConfig(
            # Resuming is ours, from `out`: a name used twice would bring back Ray's own state as well.
            name=f"train-{uuid.uuid4().hex[:8]}",
            storage_path=str(Path(config.out).absolute() / "ray"),
            failure_config=ray.train.FailureConfig(max_failures=config.max_failures),
        ),
    )
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ReelsiftError(f"training failed: {lines[-1].strip()[:300] if lines else error!r}") from error
    return TrainSummary.model_validate_json((Path(config.out) / SUMMARY).read_bytes())


def _worker(values: dict[str, Any]) -> None:
    train(TrainConfig.of(values), str(ray.train.torch.get_device()), ray.train.report)
