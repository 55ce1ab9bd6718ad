"""Training batches out of a folder of `reelsift data make`: its captions.jsonl and the decoded videos."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.eercf import EercfModel
from models.vocabulary import TokenizeTexts
from pipeline.training.batch import TrainBatch
from pipeline.training.pictures import clip_pictures
from pipeline.training.validation import Gallery
from schemas.errors import InputError
from schemas.training import TrainConfig

CAPTIONS = "captions.jsonl"


def read_captions(folder: str) -> list[dict[str, Any]]:
    """The lines of captions.jsonl.

    Raises:
        InputError: there is none, or a line is none of `reelsift data make`.
    """
    path = Path(folder) / CAPTIONS
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise InputError(
            f"--data {folder}: {CAPTIONS}: {error.strerror}; give synthetic:SEED or a folder of data make"
        ) from None
    except ValueError:
        raise InputError(f"{path} is not JSON lines; make it again with reelsift data make") from None
    for number, line in enumerate(lines, 1):
        missing = [name for name in ("uri", "caption", "split", "group") if name not in line]
        if missing:
            raise InputError(f"{path}, line {number}: no {missing[0]!r}")
    return lines


def of_split(lines: list[dict[str, Any]], split: str, folder: str) -> dict[str, list[dict[str, Any]]]:
    """The captions of each video of a split.

    Raises:
        InputError: the split is empty.
    """
    videos: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if line["split"] == split:
            videos.setdefault(line["uri"], []).append(line)
    if not videos:
        raise InputError(f"--data {folder} has no video of split {split!r}")
    return videos


def folder_captions(folder: str) -> list[str]:
    """The captions of the training split."""
    return [line["caption"] for lines in of_split(read_captions(folder), "train", folder).values() for line in lines]


@dataclass(frozen=True)
class FolderBatches:
    """Batch number `step` of worker `rank`: videos in a shuffled order of each epoch, one caption of each.

    Videos that a batch could show twice are never in it twice, so no caption has two clips.
    """

    folder: str
    videos: dict[str, list[dict[str, Any]]]
    clips: int
    rank: int
    world: int
    seed: int
    size_px: int
    num_frames: int
    tokenizer: TokenizeTexts

    @classmethod
    def of(cls, config: TrainConfig, model: EercfModel, clips: int, rank: int, world: int) -> "FolderBatches":
        """For the settings of a run.

        Raises:
            InputError: the folder has fewer training videos than a batch.
        """
        videos = of_split(read_captions(config.data), "train", config.data)
        if len(videos) < config.batch:
            raise InputError(f"--data {config.data} has {len(videos)} training videos, less than batch={config.batch}")
        size_px, frames = model.config.preprocess.image_size, model.config.num_frames
        return cls(config.data, videos, clips, rank, world, config.seed, size_px, frames, model.tokenizer)

    def __call__(self, step: int) -> TrainBatch:
        """The batch of a step."""
        batch = self.clips * self.world
        epoch, place = divmod(step, len(self.videos) // batch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.videos))
        start = place * batch + self.rank * self.clips
        names = sorted(self.videos)
        chosen = [names[i] for i in order[start : start + self.clips]]
        rng = np.random.default_rng([self.seed, step, self.rank])
        captions = [self.videos[name][int(rng.integers(len(self.videos[name])))]["caption"] for name in chosen]
        clips = [clip_pictures(Path(self.folder) / name, self.num_frames, self.size_px) for name in chosen]
        tokens_BL = self.tokenizer(captions)
        return TrainBatch(
            pictures_NHWC=torch.from_numpy(np.concatenate([pictures for pictures, _ in clips])),
            index_BF=torch.arange(self.clips * self.num_frames).view(self.clips, self.num_frames),
            mask_BF=torch.from_numpy(np.stack([real for _, real in clips])),
            captions_BL=tokens_BL,
            negatives_HL=tokens_BL[:0],
            owned_B=torch.full((self.clips,), -1),
        )


def folder_gallery(folder: str, split: str, model: EercfModel, clips: int) -> Gallery:
    """The first videos of a split with all their captions."""
    videos = sorted(of_split(read_captions(folder), split, folder).items())[:clips]
    size_px, frames = model.config.preprocess.image_size, model.config.num_frames
    decoded = [clip_pictures(Path(folder) / name, frames, size_px) for name, _ in videos]
    lines = [(index, line) for index, (_, lines) in enumerate(videos) for line in lines]
    return Gallery(
        pictures_BFHWC=torch.from_numpy(np.stack([pictures for pictures, _ in decoded])),
        mask_BF=torch.from_numpy(np.stack([real for _, real in decoded])),
        captions=[line["caption"] for _, line in lines],
        clip_T=torch.tensor([index for index, _ in lines]),
        groups=[line["group"] for _, line in lines],
    )
