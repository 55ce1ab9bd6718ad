"""Scores of every text with every clip, in blocks, so that memory does not grow with the tokens.

Shapes: T texts, B clips, F frames, N patches of a clip, D channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.eercf import EercfModel
from models.scoring import FineTokens, fine_scores, fuse, video_score
from pipeline.evaluation.gallery import ClipGallery
from pipeline.ranking import SCORE_DECIMALS

# Float32 numbers of one block's tokens, and of its text x clip x patch similarities: small enough for a core's cache
# to matter, large enough that the calls do not.
_TOKENS_AT_ONCE = 2 << 20
_PAIRS_AT_ONCE = 2 << 20
_TEXTS_AT_ONCE = 64


@dataclass(frozen=True)
class Scores:
    """T x B each, float32, rounded as search rounds them: what differs beyond that is a tie there and here.

    Attributes:
        coarse_TB: S_vid / s, stage 1 by the coarse vector.
        frames_TB: max_f t . n(f) over real frames, stage 1 by frames.
        fine_TB: the final score.
    """

    coarse_TB: Tensor
    frames_TB: Tensor
    fine_TB: Tensor

    def rows(self, chosen: slice | Tensor) -> "Scores":
        """The scores of some texts."""
        return Scores(self.coarse_TB[chosen], self.frames_TB[chosen], self.fine_TB[chosen])

    def by_clip(self) -> "Scores":
        """The same, a row a clip; a view."""
        return Scores(self.coarse_TB.T, self.frames_TB.T, self.fine_TB.T)


def encode_texts(model: EercfModel, texts: list[str]) -> Tensor:
    """Unit text vectors, T x D float32 on the CPU."""
    parts = [
        model.encode_text(texts[start : start + _TEXTS_AT_ONCE]).cpu().float()
        for start in range(0, len(texts), _TEXTS_AT_ONCE)
    ]
    return torch.cat(parts)


def clips_at_once(gallery: ClipGallery) -> int:
    """Clips whose tokens are widened to float32 at a time."""
    shape = gallery.shape
    return max(1, _TOKENS_AT_ONCE // (shape.frames * (2 + shape.patches) * shape.dim))


@torch.inference_mode()
def score_all(model: EercfModel, text_TD: Tensor, gallery: ClipGallery) -> Scores:
    """Score every text against every clip, exhaustively.

    Args:
        model: in evaluation; its device does the work.
        text_TD: unit text vectors.
        gallery: the clips.
    """
    texts, clips = len(text_TD), len(gallery.clips)
    found = Scores(*(torch.empty(texts, clips) for _ in range(3)))
    for block in gallery.blocks(clips_at_once(gallery)):
        tokens = widened(gallery.tokens(block), model.device)
        coarse_bD = gallery.coarse_BD[block].to(model.device)
        step = max(1, _PAIRS_AT_ONCE // (len(coarse_bD) * tokens.patches_BND.shape[1]))
        for start in range(0, texts, step):
            part = slice(start, min(start + step, texts))
            scored = _score_block(model, text_TD[part].to(model.device), tokens, coarse_bD)
            for name in ("coarse_TB", "frames_TB", "fine_TB"):
                getattr(found, name)[part, block] = getattr(scored, name).cpu()
    return found


def widened(tokens: FineTokens, device: torch.device) -> FineTokens:
    """The same in float32 on a device."""
    parts = (tokens.frames_BFD, tokens.temporal_BFD, tokens.patches_BND, tokens.mask_BF)
    return FineTokens(*(part.to(device).float() for part in parts))


def frame_recall_scores(text_TD: Tensor, frames_BFD: Tensor, mask_BF: Tensor) -> Tensor:
    """A clip's best real frame for each text, max_f t . n(f_f), T x B.

    >>> frames = torch.tensor([[[0.6, 0.8], [1.0, 0.0]]])
    >>> frame_recall_scores(torch.tensor([[1.0, 0.0]]), frames, torch.tensor([[1, 0]])).tolist()
    [[0.6000000238418579]]
    """
    clips, frames, dim = frames_BFD.shape
    a_TBF = (text_TD @ frames_BFD.reshape(clips * frames, dim).T).view(-1, clips, frames)
    return a_TBF.masked_fill(~mask_BF.bool(), float("-inf")).amax(-1)


def _score_block(model: EercfModel, text_TD: Tensor, tokens: FineTokens, coarse_BD: Tensor) -> Scores:
    fusion = model.config.fusion
    coarse_TB = video_score(text_TD, model.coarse_mix_DD, coarse_BD)
    fine_TB = fuse(coarse_TB, fine_scores(text_TD, tokens, model.frame_mix_FF, fusion), fusion)
    frames_TB = frame_recall_scores(text_TD, tokens.frames_BFD, tokens.mask_BF)
    return Scores(*(x_TB.float().round(decimals=SCORE_DECIMALS) for x_TB in (coarse_TB, frames_TB, fine_TB)))
