"""Videos decoded by Ray Data and streamed to the workers of Ray Train, in the order of the run.

Each worker has a stream of its own, whose rows are numbered: a row that is not the next one ends the run.

    spans of row numbers            no resources
      -> number_rows                a task, light: a few numbers a block
      -> DecodeClips                actors, each with one killable decoder process
      -> iter_batches               in the worker, ahead of its steps

No torch here: what starts a decoder need not load it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import ray

from pipeline import cluster
from pipeline.training.checkpoint_list import steps_done
from pipeline.training.clip_loader import ClipLoader
from pipeline.training.clip_order import ClipOrder
from schemas.errors import ConfigError

_ROWS_A_SPAN = 4096
_ROWS_A_BLOCK, _NUMBER_BYTES = 4, 8
_NO_PROGRESS_S = 1800
_SHARE_OF_FREE = 0.9
_NUMBERING = 0.25  # of a decoder


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
        # Cuts a span into blocks of a few numbers, each of which is a task for a decoder, whose clips are blocks of
        # their own. Ray Data's own read and repartition would do it at the price of a whole CPU each.
        context.target_max_block_size = _ROWS_A_BLOCK * _NUMBER_BYTES
        first_row, last_row = steps_done(self.out) * self.clips, self.steps * self.clips
        spans = [{"row": row} for row in range(first_row, last_row, _ROWS_A_SPAN)] or [{"row": last_row}]
        return (
            ray.data.from_items(spans, override_num_blocks=len(spans))
            .map_batches(
                number_rows,  # type: ignore[arg-type]  # Ray types functions of one argument only
                fn_kwargs={"last_row": last_row},
                batch_size=1,
                compute=ray.data.TaskPoolStrategy(size=1),
                num_cpus=self.decoder_cpus * _NUMBERING,
            )
            .map_batches(
                DecodeClips,
                fn_constructor_args=(self,),
                batch_size=_ROWS_A_BLOCK,
                compute=ray.data.ActorPoolStrategy(size=self.decoders),
                num_cpus=self.decoder_cpus,
            )
        )

    def place(self, row: int) -> tuple[int, int]:
        """Step and place in the global batch of a row."""
        step, place = divmod(row, self.clips)
        return step, self.first_slot + place


def number_rows(batch: dict[str, Any], last_row: int) -> dict[str, Any]:
    """The row numbers of a span.

    Args:
        batch: one span, by its first row.
        last_row: the first that no span holds.
    """
    first = int(batch["row"][0])
    return {"row": np.arange(first, min(first + _ROWS_A_SPAN, last_row))}


class DecodeClips:
    """An actor's decoder: row numbers to clips."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Decode the clips of a few rows; a bad video is told in the row of the one that stands in for it."""
        rows = [int(row) for row in batch["row"]]
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


def decoder_share(cpus: float, training_cpus: float, workers: int, decoders: int) -> float:
    """Logical CPUs of each decoder, such that all of them run beside the workers; never more than one.

    Ray Data waits for ever, and silently, where the CPUs for one of its parts are not there.

    Args:
        cpus: of the cluster.
        training_cpus: what all workers of Ray Train hold.
        workers: of Ray Train, each with a stream.
        decoders: of a stream.

    >>> decoder_share(16, 4, 4, 2), decoder_share(2, 1, 2, 1)
    (1.0, 0.36)

    Raises:
        ConfigError: the workers leave no CPU; Ray would wait for one for ever.
    """
    free = cpus - training_cpus
    if free <= 0:
        raise ConfigError(
            f"the workers take {training_cpus:g} of the cluster's {cpus:g} CPUs and leave none that decodes videos; "
            "lower workers or cpus_per_worker"
        )
    return min(1.0, _SHARE_OF_FREE * free / (workers * (decoders + _NUMBERING)))
