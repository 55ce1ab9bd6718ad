"""Training losses of EERCF: fused InfoNCE of the weak and the strong scores, and the Pearson constraint.

Shapes: T texts, of which the first B belong to the B clips one by one and the rest are hard negatives; F frames;
N pictures (N = B * F, or fewer where several frames show one picture); P patches a picture; D channels.
No T x B x F x D tensor is formed: pairwise gating costs T x B x F x F in the Gram form.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as nnf
from torch import Tensor

from models.scoring import masked_softmax, video_score
from schemas.scoring import Fusion

Gating = Literal["pairwise", "paired"]
MAX_LOG_SCALE = math.log(100.0)
_EPS = 1e-12


@dataclass(frozen=True)
class LossWeights:
    """Weights inside the total loss; the defaults are the public code's. z is the patch-level u, S_sp's vector."""

    weak: float = 0.8
    strong: float = 0.2
    pearson: float = 0.001
    weak_video: float = 0.5
    weak_frame: float = 0.5
    weak_patch: float = 0.05
    pearson_diagonal: float = 0.14


@dataclass(frozen=True)
class TrainingTokens:
    """All that a batch's losses are made of. Unit vectors, all but `mask_BF` with gradients.

    Attributes:
        text_TD: the B captions, then hard negatives.
        pictures_ND: n(f).
        patches_NPD: n(p).
        index_BF: which picture each frame shows; where the mask is 0 any, but without masks (the reference profile)
            the picture that padding shows.
        mask_BF: 1 for a real frame, float.
        temporal_BFD: v; zeros for padding, but without masks what the temporal transformer gives there.
        coarse_BD: g.
    """

    text_TD: Tensor
    pictures_ND: Tensor
    patches_NPD: Tensor
    index_BF: Tensor
    mask_BF: Tensor
    temporal_BFD: Tensor
    coarse_BD: Tensor


@dataclass(frozen=True)
class Losses:
    """The total loss and its parts, scalars; `scale` is s."""

    total: Tensor
    weak: Tensor
    strong: Tensor
    pearson: Tensor
    scale: Tensor


def logit_scale(log_scale: Tensor) -> Tensor:
    """The factor s = exp(log_scale), at most 100.

    >>> round(logit_scale(torch.tensor(9.0)).item(), 3)
    100.0
    """
    return log_scale.clamp(max=MAX_LOG_SCALE).exp()


def symmetric_nce(logits_TB: Tensor, ignored_TB: Tensor | None = None) -> Tensor:
    """NCE(X) = (CE(X) + CE(X^T)) / 2, the first B texts paired with the clips; the mean over B.

    Args:
        logits_TB: texts behind the first B are negatives that every clip must tell from its own text.
        ignored_TB: pairs that are neither positive nor negative, left out of both softmaxes.

    >>> round(symmetric_nce(torch.zeros(2, 2)).item(), 4)
    0.6931
    """
    if ignored_TB is not None:
        logits_TB = logits_TB.masked_fill(ignored_TB, float("-inf"))
    clips = logits_TB.shape[1]
    own_B = torch.arange(clips, device=logits_TB.device)
    return (nnf.cross_entropy(logits_TB[:clips], own_B) + nnf.cross_entropy(logits_TB.T, own_B)) / 2


def pearson_constraint(text_BD: Tensor, feature_BD: Tensor, diagonal: float = 0.14) -> Tensor:
    """P(x) = diagonal * sum_d (C_dd - 1)^2 with C = Z_t^T Z_x / B, channels z-scored over the batch (unbiased std).

    >>> same = torch.tensor([[0.0, 2.0], [1.0, 0.0], [2.0, 1.0]])
    >>> round(pearson_constraint(same, same, diagonal=1.0).item(), 4)  # (2/3 - 1)^2 a channel: unbiased std, / B
    0.2222
    """
    text_z_BD, feature_z_BD = _z_score(text_BD), _z_score(feature_BD)
    # The off-diagonal weight of the public code is 0, so D x D is never formed.
    correlation_D = (text_z_BD * feature_z_BD).mean(0)
    return diagonal * (correlation_D - 1).square().sum()


def _z_score(x_BD: Tensor) -> Tensor:
    return (x_BD - x_BD.mean(0)) / x_BD.std(0).clamp_min(_EPS)


def eercf_losses(
    tokens: TrainingTokens,
    log_scale: Tensor,
    coarse_mix_DD: Tensor,
    frame_mix_FF: Tensor,
    fusion: Fusion,
    weights: LossWeights | None = None,
    gating: Gating = "pairwise",
    ignored_TB: Tensor | None = None,
) -> Losses:
    """L = 0.8 NCE(X_weak) + 0.2 NCE(X_strong) + 0.001 (P(g) + P(u)).

    Args:
        tokens: the global batch.
        log_scale: the learned log s.
        coarse_mix_DD: G.
        frame_mix_FF: A.
        fusion: temperatures, and whether padding is kept out of the softmaxes.
        weights: of the parts; None for the public code's.
        gating: "pairwise" lets each text gate each clip, as retrieval does; "paired" is the public code's training,
            in which a clip's own text gates it for all, and no gradient goes through the gate.
        ignored_TB: see `symmetric_nce`.

    >>> one = torch.eye(2)  # two clips of one frame and one patch, each exactly like its own text
    >>> index, real = torch.tensor([[0], [1]]), torch.ones(2, 1)
    >>> tokens = TrainingTokens(one, one, one[:, None], index, real, one[:, None], one)
    >>> losses = eercf_losses(tokens, torch.tensor(0.0), one, torch.eye(1), Fusion())
    >>> [round(part.item(), 4) for part in (losses.weak, losses.strong, losses.pearson)]  # log(1 + 1/e^1.05), ...
    [0.3001, 0.3133, 0.14]
    """
    chosen = weights or LossWeights()
    mask_BF = tokens.mask_BF if fusion.masked else None
    text_TD, scale = tokens.text_TD, logit_scale(log_scale)
    a_TBF = (text_TD @ tokens.pictures_ND.T)[:, tokens.index_BF]
    if mask_BF is not None:
        # A may carry weight onto a padded frame, which has no similarity to offer.
        a_TBF = a_TBF * mask_BF
    weak_TB = (
        chosen.weak_video * video_score(text_TD, coarse_mix_DD, tokens.coarse_BD)
        + chosen.weak_frame * _weak_frame(a_TBF, mask_BF, frame_mix_FF, fusion.tau_weak)
        + chosen.weak_patch * _weak_patch(tokens, mask_BF, fusion.tau_weak)
    )
    gate_TBF = masked_softmax(a_TBF / fusion.tau_strong_frame, mask_BF)
    paired = gating == "paired"
    fused_BD = _own_fused(gate_TBF.detach() if paired else gate_TBF, tokens.temporal_BFD)
    strong_TB = text_TD @ fused_BD.T if paired else _gated(gate_TBF, text_TD, tokens.temporal_BFD)
    own_BD = text_TD[: len(fused_BD)]
    weak, strong = (symmetric_nce(scale * scores_TB, ignored_TB) for scores_TB in (weak_TB, strong_TB))
    pearson = sum(
        (pearson_constraint(own_BD, x_BD, chosen.pearson_diagonal) for x_BD in (tokens.coarse_BD, fused_BD)),
        start=torch.zeros((), device=text_TD.device),
    )
    total = chosen.weak * weak + chosen.strong * strong + chosen.pearson * pearson
    return Losses(total, weak, strong, pearson, scale)


def _weak_frame(a_TBF: Tensor, mask_BF: Tensor | None, frame_mix_FF: Tensor, tau: float) -> Tensor:
    return (a_TBF * (masked_softmax(a_TBF / tau, mask_BF) @ frame_mix_FF)).sum(-1)


def _weak_patch(tokens: TrainingTokens, mask_BF: Tensor | None, tau: float) -> Tensor:
    """S_wp / s: the softmax over all patches of a clip, as one over frames of one over each picture's patches.

    With l_f = logsumexp of a frame, softmax over all = softmax_f(l) * softmax within f. So a picture that several
    frames show is scored once.
    """
    b_TNP = torch.einsum("td,npd->tnp", tokens.text_TD, tokens.patches_NPD)
    total_TN = torch.logsumexp(b_TNP / tau, -1)
    mean_TN = (b_TNP * (b_TNP / tau - total_TN[..., None]).exp()).sum(-1)
    frames_TBF = total_TN[:, tokens.index_BF]
    values_TBF = mean_TN[:, tokens.index_BF]
    return (masked_softmax(frames_TBF, mask_BF) * values_TBF).sum(-1)


def _gated(gate_TBF: Tensor, text_TD: Tensor, temporal_BFD: Tensor) -> Tensor:
    """S_sf / s = (w . c) / sqrt(w^T K w) for each pair."""
    c_TBF = torch.einsum("td,bfd->tbf", text_TD, temporal_BFD)
    gram_BFF = temporal_BFD @ temporal_BFD.transpose(1, 2)
    gate_BTF = gate_TBF.transpose(0, 1)
    norm_BT = ((gate_BTF @ gram_BFF) * gate_BTF).sum(-1)
    return (gate_TBF * c_TBF).sum(-1) / norm_BT.T.clamp_min(_EPS).sqrt()


def _own_fused(gate_TBF: Tensor, temporal_BFD: Tensor) -> Tensor:
    """The vector u of each clip with its own text, B x D."""
    clips = len(temporal_BFD)
    own_BF = gate_TBF[torch.arange(clips, device=gate_TBF.device), torch.arange(clips, device=gate_TBF.device)]
    return nnf.normalize(torch.einsum("bf,bfd->bd", own_BF, temporal_BFD), dim=-1)
