"""A small gallery of random unit tokens with a stand-in for its model, and captions of it."""

from types import SimpleNamespace

import torch
from torch.nn.functional import normalize

from pipeline.datasets.dataset import Caption
from pipeline.evaluation.gallery import ClipFile, ClipGallery, empty_gallery
from schemas.scoring import Fusion, ScoringParams
from schemas.tables import TokenShape

SHAPE = TokenShape(frames=4, patches=3, dim=16)


def model():
    draw = torch.Generator().manual_seed(1)
    mix_DD = torch.eye(SHAPE.dim) + 0.1 * torch.randn(SHAPE.dim, SHAPE.dim, generator=draw)
    mix_FF = torch.eye(SHAPE.frames) + 0.1 * torch.rand(SHAPE.frames, SHAPE.frames, generator=draw)
    fusion = Fusion()
    return SimpleNamespace(
        device=torch.device("cpu"),
        coarse_mix_DD=mix_DD,
        frame_mix_FF=mix_FF,
        config=SimpleNamespace(fusion=fusion),
        scoring=ScoringParams(fusion=fusion, frame_mix=tuple(map(tuple, mix_FF.tolist()))),
    )


def gallery(folder, clips=23):
    """Every third clip ends in a padded frame."""
    draw = torch.Generator().manual_seed(2)
    made = empty_gallery(clips, SHAPE, folder)
    made.mask_BF[:] = 1
    made.mask_BF[::3, -1] = 0
    for into in (made.frames_BFD, made.temporal_BFD, made.patches_BND):
        into[:] = normalize(torch.randn(into.shape, generator=draw), dim=-1).half()
        into.view(clips, SHAPE.frames, -1)[::3, -1] = 0
    made.coarse_BD[:] = normalize(made.temporal_BFD.float().sum(1), dim=-1)
    times = tuple(0.5 + frame for frame in range(SHAPE.frames))
    files = tuple(ClipFile(f"clip{row}", f"/videos/{row}.mp4", "etag", times) for row in range(clips))
    return ClipGallery(**{**vars(made), "clips": files})


def texts(count):
    return normalize(torch.randn(count, SHAPE.dim, generator=torch.Generator().manual_seed(3)), dim=-1)


def captions(owners):
    """Two of three are needles of 1 or 4 frames."""
    return [
        Caption(
            key=f"clip{owner}",
            text=f"text {number}",
            group="needle" if number % 3 else "gist",
            tags={"event_frames": (1, 4)[number % 2]} if number % 3 else {},
            start_s=None,
            end_s=None,
        )
        for number, owner in enumerate(owners)
    ]
