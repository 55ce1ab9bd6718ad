"""Validation clips out of captioned videos."""

import numpy as np
import torch

from models.eercf import EercfModel
from pipeline.datasets.dataset import CaptionedVideos
from pipeline.training.bad_videos import BadVideo
from pipeline.training.clip_loader import ClipLoader, ClipShape, LoadedClip
from pipeline.training.validation import Gallery
from pipeline.training.video_batches import captions_of
from schemas.errors import InputError


def video_gallery(
    dataset: CaptionedVideos, model: EercfModel, clips: int, timeout_s: float
) -> tuple[Gallery, tuple[BadVideo, ...]]:
    """The first videos of a split that can be used, with all their captions; and those that cannot.

    Args:
        dataset: the validation split.
        model: whose pictures are wanted.
        clips: how many at most.
        timeout_s: for the decoding of each.

    Raises:
        InputError: not one can be used.
    """
    loader = ClipLoader.of(dataset, ClipShape.of(model.config, timeout_s))
    good: list[LoadedClip] = []
    bad: list[BadVideo] = []
    try:
        for video in range(len(dataset.videos)):
            if len(good) == clips:
                break
            clip = loader.read(video)
            if isinstance(clip, LoadedClip):
                good.append(clip)
            else:
                bad.append(clip)
    finally:
        loader.close()
    if not good:
        raise InputError(
            f"not one of the {len(bad)} validation videos can be used; {bad[0].key}: {bad[0].reason}, {bad[0].detail}"
        )
    lines = captions_of(dataset)
    said = [(place, line) for place, clip in enumerate(good) for line in lines[clip.video]]
    gallery = Gallery(
        pictures_BFHWC=torch.from_numpy(np.stack([clip.pictures_FHWC for clip in good])),
        mask_BF=torch.from_numpy(np.stack([clip.real_F for clip in good])),
        captions=[line.text for _, line in said],
        clip_T=torch.tensor([place for place, _ in said]),
        groups=[line.group or "all" for _, line in said],
    )
    return gallery, tuple(bad)
