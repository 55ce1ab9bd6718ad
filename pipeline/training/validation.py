"""Retrieval on held-out clips: rank of each caption's own clip, by the coarse, the two-stage and the fine score."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.eercf import ClipTokens, EercfModel
from models.scoring import FineTokens, fine_scores, fuse, video_score
from pipeline.metrics import candidate_order, own_ranks, recall, two_stage_ranks

_TEXTS_AT_ONCE = 16


@dataclass(frozen=True)
class Gallery:
    """B clips and T captions.

    Attributes:
        pictures_BFHWC: uint8.
        mask_BF: 1 real, 0 padding.
        captions: T texts.
        clip_T: the clip of each.
        groups: a name for each caption, such as gist or needle.
    """

    pictures_BFHWC: Tensor
    mask_BF: Tensor
    captions: list[str]
    clip_T: Tensor
    groups: list[str]


@dataclass(frozen=True)
class Ranks:
    """For each caption the rank of its clip, 1 the best; a clip of equal score counts as better."""

    coarse_T: Tensor
    fine_T: Tensor
    two_stage_T: Tensor


def encode_gallery(model: EercfModel, gallery: Gallery, clips_at_once: int = 16) -> ClipTokens:
    """Tokens of all clips."""
    pieces = zip(
        torch.split(gallery.pictures_BFHWC, clips_at_once), torch.split(gallery.mask_BF, clips_at_once), strict=True
    )
    parts = [model.encode_clips(pictures, mask) for pictures, mask in pieces]
    return ClipTokens(*(torch.cat([getattr(part, name) for part in parts]) for name in ClipTokens.__annotations__))


@torch.inference_mode()
def rank_gallery(model: EercfModel, gallery: Gallery, recall_k: int = 50) -> Ranks:
    """Score every caption against every clip.

    Args:
        model: in evaluation.
        gallery: the clips and captions.
        recall_k: clips that the coarse score hands on; a caption whose clip is not among them keeps its coarse rank.
    """
    tokens = encode_gallery(model, gallery)
    fine = FineTokens(
        tokens.frames_BFD,
        tokens.temporal_BFD,
        tokens.patches_BFPD.flatten(1, 2),
        gallery.mask_BF.float().to(model.device),
    )
    coarse_T, fine_T, two_stage_T = [], [], []
    for start in range(0, len(gallery.captions), _TEXTS_AT_ONCE):
        text_TD = model.encode_text(gallery.captions[start : start + _TEXTS_AT_ONCE])
        own_T = gallery.clip_T[start : start + _TEXTS_AT_ONCE].to(model.device)
        video_TB = video_score(text_TD, model.coarse_mix_DD, tokens.coarse_BD)
        score_TB = fuse(
            video_TB, fine_scores(text_TD, fine, model.frame_mix_FF, model.config.fusion), model.config.fusion
        )
        own_TB = own_T[:, None] == torch.arange(video_TB.shape[1], device=model.device)
        coarse_T.append(own_ranks(video_TB, own_TB))
        fine_T.append(own_ranks(score_TB, own_TB))
        candidates_Tk = candidate_order(video_TB, own_TB, recall_k)
        two_stage_T.append(two_stage_ranks(score_TB, video_TB, candidates_Tk, own_TB)[0])
    return Ranks(torch.cat(coarse_T), torch.cat(fine_T), torch.cat(two_stage_T))


def report(ranks: Ranks, groups: Iterable[str]) -> dict[str, float]:
    """R@1, 10 and 50 of each way for each group, by names such as "needle_fine_r1"."""
    names = list(groups)
    figures: dict[str, float] = {}
    for group in sorted(set(names)):
        chosen_T = torch.tensor([name == group for name in names])
        for way in ("coarse", "fine", "two_stage"):
            ranks_T = getattr(ranks, f"{way}_T").cpu()[chosen_T]
            for k in (1, 10, 50):
                figures[f"{group}_{way}_r{k}"] = round(recall(ranks_T, k), 2)
    return figures
