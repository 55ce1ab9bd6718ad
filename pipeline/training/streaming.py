"""Videos decoded by Ray Data and streamed to the workers of Ray Train, in the order of the run.

Each worker has a stream of its own, whose rows are numbered: a row that is not the next one ends the run.

    row numbers                     read tasks
      -> DecodeClips                actors, each with one killable decoder process
      -> iter_batches               in the worker, ahead of its steps
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
import ray

from pipeline import cluster
from pipeline.training.bad_videos import BadVideo
from pipeline.training.batch import LoadedBatch
from pipeline.training.checkpoint import steps_done
from pipeline.training.clip_loader import ClipLoader, LoadedClip
from pipeline.training.clip_order import ClipOrder
from pipeline.training.video_batches import VideoBatches
from schemas.errors import ConfigError, ReelsiftError

_ROWS_A_READ = 4096
_ROWS_A_BLOCK = 4
_NO_PROGRESS_S = 1800
_SHARE_OF_FREE = 0.75


@dataclass(frozen=True)
class Stream:
    """What a worker's stream decodes.

    Attributes:
        loader: of the training videos.
        order: of the run.
        out: the run's folder, whose checkpoint says where to go on.
        steps: of the run.
        first_slot: the worker's first place in a batch.
        clips: how many places are its own.
        decoders: actors.
        decoder_cpus: logical CPUs of each.
    """

    loader: ClipLoader
    order: ClipOrder
    out: str
    steps: int
    first_slot: int
    clips: int
    decoders: int
    decoder_cpus: float

    def __call__(self) -> ray.data.Dataset:
        """The rows that are still to come. Ray Train asks whenever it starts its workers, again after a death too."""
        context = ray.data.DataContext.get_current()
        cluster.quiet_logs()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        context.execution_no_progress_timeout_s = _NO_PROGRESS_S
        first_row = steps_done(self.out) * self.clips
        rows = self.steps * self.clips - first_row
        return (
            ray.data.range(rows, override_num_blocks=max(1, ceil(rows / _ROWS_A_READ)))
            .repartition(target_num_rows_per_block=_ROWS_A_BLOCK)
            .map_batches(
                DecodeClips,
                fn_constructor_args=(self, first_row),
                batch_size=_ROWS_A_BLOCK,
                compute=ray.data.ActorPoolStrategy(size=self.decoders),
                num_cpus=self.decoder_cpus,
            )
        )

    def place(self, row: int) -> tuple[int, int]:
        """Step and place in the global batch of a row."""
        step, place = divmod(row, self.clips)
        return step, self.first_slot + place


class DecodeClips:
    """An actor's decoder: row numbers to clips."""

    def __init__(self, stream: Stream, first_row: int) -> None:
        self._stream, self._first_row = stream, first_row

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Decode the clips of a few rows; a bad video is told in the row of the one that stands in for it."""
        rows = [self._first_row + int(number) for number in batch["id"]]
        stream = self._stream
        clips = [stream.loader.load(stream.order, *stream.place(row)) for row in rows]
        return {
            "row": np.array(rows),
            "video": np.array([clip.video for clip in clips]),
            "pictures": np.stack([clip.pictures_FHWC for clip in clips]),
            "real": np.stack([clip.real_F for clip in clips]),
            "bad": np.array([json.dumps([asdict(video) for video in clip.bad]) for clip in clips]),
        }

    def __del__(self) -> None:
        """End the decoder's child process with its actor."""
        stream = getattr(self, "_stream", None)
        if stream is not None:
            stream.loader.close()


def streamed_batches(shard: Any, batches: VideoBatches, first: int, last: int) -> Iterator[LoadedBatch]:
    """A worker's batches for steps `first` to `last` - 1, out of its shard.

    Raises:
        ReelsiftError: the rows that came are not those of the next step.
    """
    if first == last:
        return
    for step, rows in enumerate(shard.iter_batches(batch_size=batches.clips, prefetch_batches=1), first):
        if rows["row"].tolist() != list(range(step * batches.clips, (step + 1) * batches.clips)):
            raise ReelsiftError(f"step {step} got the clips of others; run the same command to go on")
        yield batches.collate(step, list(_clips(rows)))


def _clips(rows: dict[str, Any]) -> Iterator[LoadedClip]:
    columns = (rows[name] for name in ("video", "pictures", "real", "bad"))
    for video, pictures_FHWC, real_F, bad in zip(*columns, strict=True):
        yield LoadedClip(int(video), pictures_FHWC, real_F, tuple(BadVideo(**entry) for entry in json.loads(bad)))


def decoder_share(cpus: float, training_cpus: float, decoders: int) -> float:
    """Logical CPUs of each decoder, such that all of them run beside the workers; never more than one.

    Args:
        cpus: of the cluster.
        training_cpus: what all workers of Ray Train hold.
        decoders: of all workers.

    >>> decoder_share(16, 4, 8), decoder_share(2, 1, 3)
    (1.0, 0.25)

    Raises:
        ConfigError: the workers leave no CPU; Ray would wait for one for ever.
    """
    free = cpus - training_cpus
    if free <= 0:
        raise ConfigError(
            f"the workers take {training_cpus:g} of the cluster's {cpus:g} CPUs and leave none that decodes videos; "
            "lower workers or cpus_per_worker"
        )
    return min(1.0, _SHARE_OF_FREE * free / decoders)
