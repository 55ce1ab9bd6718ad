"""Training batches out of captioned videos: whatever set, whoever decodes."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from models.vocabulary import TokenizeTexts
from pipeline.datasets.dataset import Caption, CaptionedVideos
from pipeline.training.bad_videos import BadVideo
from pipeline.training.batch import LoadedBatch, TrainBatch
from pipeline.training.clip_loader import ClipLoader, LoadedClip
from pipeline.training.clip_order import ClipOrder
from schemas.errors import InputError, ReelsiftError
from schemas.training import TrainConfig

# `reelsift data make` writes it beside a caption: the same sentence, wrong in a single attribute.
HARD_NEGATIVE = "hard_negative"


def clip_order(config: TrainConfig, dataset: CaptionedVideos) -> ClipOrder:
    """The order of a run.

    Raises:
        InputError: the set has fewer training videos than a batch.
    """
    count = len(dataset.videos)
    if count < config.batch:
        raise InputError(f"--data {config.data} has {count} training videos, less than batch={config.batch}")
    return ClipOrder(count, config.batch, config.seed)


@dataclass(frozen=True)
class VideoBatches:
    """Batch number `step` of one worker; places of the global batch are dealt to the workers in order of rank.

    Attributes:
        order: of the run.
        captions: those of each video.
        first_slot: this worker's first place.
        clips: how many places are this worker's.
        hard_negatives: share of the captions that bring theirs, where all captions of the set have one.
        tokenizer: of the model.
    """

    order: ClipOrder
    captions: tuple[tuple[Caption, ...], ...]
    first_slot: int
    clips: int
    hard_negatives: float
    tokenizer: TokenizeTexts

    @classmethod
    def of(
        cls, config: TrainConfig, dataset: CaptionedVideos, tokenizer: TokenizeTexts, rank: int, world: int
    ) -> "VideoBatches":
        """For a worker of a run.

        Raises:
            InputError: the set has fewer training videos than a batch.
        """
        clips = config.batch // world
        share = config.hard_negatives if all(HARD_NEGATIVE in line.tags for line in dataset.captions) else 0.0
        return cls(clip_order(config, dataset), captions_of(dataset), rank * clips, clips, share, tokenizer)

    def slots(self) -> range:
        """The places of this worker."""
        return range(self.first_slot, self.first_slot + self.clips)

    def collate(self, step: int, clips: Sequence[LoadedClip]) -> LoadedBatch:
        """The batch of a step out of its clips, in the order of `slots`."""
        chosen = []
        for slot, clip in zip(self.slots(), clips, strict=True):
            lines = self.captions[clip.video]
            chosen.append(lines[self.order.draw(step, slot, len(lines))])
        # As many on each worker, which gathering needs; which videos these places hold is chance anyway.
        negatives = [
            str(line.tags[HARD_NEGATIVE])
            for place, line in enumerate(chosen)
            if int((place + 1) * self.hard_negatives) > int(place * self.hard_negatives)
        ]
        tokens = self.tokenizer([line.text for line in chosen] + negatives)
        frames = len(clips[0].real_F)
        batch = TrainBatch(
            pictures_NHWC=torch.from_numpy(np.concatenate([clip.pictures_FHWC for clip in clips])),
            index_BF=torch.arange(len(clips) * frames).view(len(clips), frames),
            mask_BF=torch.from_numpy(np.stack([clip.real_F for clip in clips])),
            captions_BL=tokens[: len(clips)],
            negatives_HL=tokens[len(clips) :],
            owned_B=torch.full((len(clips),), -1),
        )
        return LoadedBatch(batch, tuple(bad for clip in clips for bad in clip.bad))


@dataclass(frozen=True)
class DecodedHere:
    """Batches whose videos this process decodes."""

    batches: VideoBatches
    loader: ClipLoader

    def __call__(self, step: int) -> LoadedBatch:
        """The batch of a step."""
        order = self.batches.order
        return self.batches.collate(step, [self.loader.load(order, step, slot) for slot in self.batches.slots()])


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


def captions_of(dataset: CaptionedVideos) -> tuple[tuple[Caption, ...], ...]:
    """The captions of each video, in the order of the videos."""
    return tuple(map(tuple, _by_key(dataset.captions, [key for key, _ in dataset.videos])))


def _by_key(captions: Iterable[Caption], keys: Sequence[str]) -> list[list[Caption]]:
    found: dict[str, list[Caption]] = {key: [] for key in keys}
    for caption in captions:
        found[caption.key].append(caption)
    return list(found.values())
