"""The shell over Ray Train: starts the workers and their process group, and starts them again when one dies."""

import tempfile
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import ray.train
import ray.train.torch

from models.config import ModelConfig
from pipeline.cluster import Resources, connect, disconnect
from pipeline.datasets.catalog import open_dataset
from pipeline.training.batch import LoadedBatch
from pipeline.training.clip_loader import ClipLoader, ClipShape
from pipeline.training.loop import SUMMARY, train
from pipeline.training.run_store import RunStore
from pipeline.training.settings import keep_settings
from pipeline.training.source import check_data, synthetic_seed
from pipeline.training.start import starting_model
from pipeline.training.streaming import Stream, decoder_share
from pipeline.training.video_batches import VideoBatches, clip_order, streamed_batches
from schemas.errors import ReelsiftError
from schemas.training import TrainConfig, TrainSummary

# Longer than the first worker validates while the others wait for it.
_COLLECTIVE_TIMEOUT_S = 1800
# A worker holds a batch, has another ready, and its decoders are ahead by some.
_BATCHES_IN_FLIGHT = 4
_LEAST_STORE_BYTES, _STORE_SHARE = 512 << 20, 0.3


def train_job(config: TrainConfig) -> TrainSummary:
    """Train with `config.workers` workers of Ray Train; with 0 in this process, without Ray.

    A worker that dies takes its group with it; the group starts again from the last checkpoint in `config.out`, which
    all workers must see: on several machines it is a shared folder or an object store.

    Raises:
        ReelsiftError: model or data cannot be used, or a worker died more than `config.max_failures` times.
    """
    # A user's mistake shows here, before workers start, as one line instead of a worker's traceback.
    check_data(config)
    model = starting_model(config)
    keep_settings(config)
    if config.workers == 0:
        return train(config, "cuda" if config.use_gpu else "cpu")
    has = connect(object_store_bytes=_store_bytes(config, ClipShape.of(model.config, config.decode_timeout_s)))
    try:
        return _fit(config, model.config, has)
    finally:
        disconnect()


def _store_bytes(config: TrainConfig, shape: ClipShape) -> int:
    wanted = _BATCHES_IN_FLIGHT * config.batch * shape.clip_bytes
    return max(_LEAST_STORE_BYTES, min(wanted, int(_STORE_SHARE * psutil.virtual_memory().total)))


def _fit(config: TrainConfig, model: ModelConfig, has: Resources) -> TrainSummary:
    resources = {"CPU": config.cpus_per_worker} | ({"GPU": 1.0} if config.use_gpu else {})
    with tempfile.TemporaryDirectory(prefix="reelsift-") as folder:
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
                # Only Ray's notes on its own state: nothing that another machine has to read.
                storage_path=folder,
                failure_config=ray.train.FailureConfig(max_failures=config.max_failures),
            ),
            datasets=_streams(config, model, has),
            # Each worker reads a stream of its own: so the order does not hang on how Ray Data would split one.
            dataset_config=ray.train.DataConfig(
                datasets_to_split=[], execution_options=ray.data.ExecutionOptions(preserve_order=True)
            ),
        )
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise ReelsiftError(f"training failed: {lines[-1].strip()[:300] if lines else error!r}") from error
    return TrainSummary.model_validate_json(RunStore(config.out).read(SUMMARY))


def _streams(config: TrainConfig, model: ModelConfig, has: Resources) -> dict[str, Any]:
    """A stream of decoded clips for each worker; none for generated scenes, which workers draw themselves."""
    if synthetic_seed(config.data) is not None:
        return {}
    dataset = open_dataset(config.data, "train")
    decoders = max(1, config.loaders)
    share = decoder_share(has.cpus, config.workers * config.cpus_per_worker, config.workers, decoders)
    clips = config.batch // config.workers
    return {
        _stream_name(rank): Stream(
            loader=ClipLoader.of(dataset, ClipShape.of(model, config.decode_timeout_s)),
            order=clip_order(config, dataset),
            out=config.out,
            steps=config.steps,
            first_slot=rank * clips,
            clips=clips,
            decoders=decoders,
            decoder_cpus=share,
        )
        for rank in range(config.workers)
    }


def _stream_name(rank: int) -> str:
    return f"train-{rank}"


def _worker(values: dict[str, Any]) -> None:
    train(TrainConfig.of(values), str(ray.train.torch.get_device()), ray.train.report, _my_stream)


def _my_stream(batches: VideoBatches, first: int, last: int) -> Iterator[LoadedBatch]:
    shard = ray.train.get_dataset_shard(_stream_name(ray.train.get_context().get_world_rank()))
    return streamed_batches(shard, batches, first, last)
