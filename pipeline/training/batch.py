"""A training batch, and which of its pairs are neither positive nor negative."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.training.bad_videos import BadVideo


@dataclass(frozen=True)
class TrainBatch:
    """B clips with a caption each, and H hard negatives.

    Attributes:
        pictures_NHWC: uint8, N = B * F or fewer.
        index_BF: which picture each frame shows.
        mask_BF: 1 real, 0 padding, float.
        captions_BL: token ids, one caption a clip.
        negatives_HL: token ids of captions that fit no clip of the batch.
        owned_B: the picture that a caption tells of, where other clips may show it too; -1 where none does.
    """

    pictures_NHWC: Tensor
    index_BF: Tensor
    mask_BF: Tensor
    captions_BL: Tensor
    negatives_HL: Tensor
    owned_B: Tensor


@dataclass(frozen=True)
class LoadedBatch:
    """A batch, and the videos that could not be used when it was made."""

    batch: TrainBatch
    bad: tuple[BadVideo, ...] = ()


def ignored_pairs(owned_B: Tensor, index_BF: Tensor, texts: int) -> Tensor | None:
    """Texts x clips, true where a clip shows another caption's picture: that caption is true of it, too.

    >>> ignored_pairs(torch.tensor([0, 1]), torch.tensor([[0, 1], [1, 1]]), 3).tolist()
    [[False, False], [True, False], [False, False]]
    """
    if not bool((owned_B >= 0).any()):
        return None
    clips = len(owned_B)
    shown_BB = (owned_B[:, None, None] == index_BF[None]).any(-1)
    shown_BB.fill_diagonal_(False)
    rest = torch.zeros(texts - clips, clips, dtype=torch.bool, device=owned_B.device)
    return torch.cat([shown_BB, rest])
