"""The five EERCF scores, pure and without learned state but the frame mix A (paper sections 3.2-3.4).

Shapes: T texts, B clips, F frames, N = F * P patches of a clip, D channels. All tokens are unit vectors or zeros
(padding). Every score leaves out the factor s = exp(logit_scale): it cancels in a ranking, and the losses apply it.
No T x B x F x D tensor is ever formed.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from schemas.scoring import Fusion

_EPS = 1e-12


@dataclass(frozen=True)
class FineTokens:
    """What stage 2 reads of B clips.

    Attributes:
        frames_BFD: n(f), the CLIP frame tokens.
        temporal_BFD: n(H), the frame tokens behind the temporal transformer.
        patches_BND: n(p), the patch tokens of all frames.
        mask_BF: 1 for a real frame, 0 for padding.
    """

    frames_BFD: Tensor
    temporal_BFD: Tensor
    patches_BND: Tensor
    mask_BF: Tensor


@dataclass(frozen=True)
class FineScores:
    """Scores of T texts against B clips, each T x B, and the frame gate of the strong score, T x B x F."""

    weak_frame_TB: Tensor
    strong_frame_TB: Tensor
    weak_patch_TB: Tensor
    strong_patch_TB: Tensor | None
    gate_TBF: Tensor


def masked_softmax(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the last axis in which masked-out entries get weight 0; an all-masked row is all zeros.

    >>> masked_softmax(torch.tensor([1.0, 1.0, 9.0]), torch.tensor([1, 1, 0])).tolist()
    [0.5, 0.5, 0.0]
    """
    if mask is None:
        return logits.softmax(-1)
    kept = mask.bool()
    weights = logits.masked_fill(~kept, float("-inf")).softmax(-1)
    return torch.where(kept, weights, torch.zeros_like(weights)).nan_to_num(0.0)


def attended(similarity: Tensor, mask: Tensor | None, tau: float, log_count: Tensor | None = None) -> Tensor:
    """sum_n b_n softmax_n(b / tau + log n)_n over the last axis; 0 where nothing is kept.

    Args:
        similarity: b.
        mask: 0 for what is kept out; None keeps all.
        tau: temperature.
        log_count: log of how many equal tokens each one stands for (proportional attention, Bolya et al. 2023).

    >>> attended(torch.tensor([1.0, 0.0]), None, 1.0, torch.tensor([0.0, 1.0])).item()
    0.5
    """
    logits = similarity / tau if log_count is None else similarity / tau + log_count
    return (similarity * masked_softmax(logits, mask)).sum(-1)


def fused_score(gate: Tensor, similarity: Tensor, norm: Tensor) -> Tensor:
    """T . n(sum_n w_n v_n) = (w . c) / ||sum_n w_n v_n||, over the last axis; 0 where the norm is.

    >>> fused_score(torch.tensor([0.5, 0.5]), torch.tensor([2.0, 0.0]), torch.tensor(0.5)).item()
    2.0
    """
    return (gate * similarity).sum(-1) / norm.clamp_min(_EPS)


def video_score(text_TD: Tensor, mix_DD: Tensor, coarse_BD: Tensor) -> Tensor:
    """S_vid / s = t^T G g, T x B: the coarse score of stage 1.

    >>> video_score(torch.eye(2)[:1], torch.eye(2), torch.eye(2)).tolist()
    [[1.0, 0.0]]
    """
    return (text_TD @ mix_DD) @ coarse_BD.T


def weak_frame_score(
    text_TD: Tensor, frames_BFD: Tensor, mask_BF: Tensor | None, frame_mix_FF: Tensor, tau: float
) -> Tensor:
    """S_wf / s = sum_f a_f (softmax_f(a / tau) A)_f with a_f = t . n(f_f), T x B.

    >>> frames = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> weak_frame_score(torch.tensor([[1.0, 0.0]]), frames, None, torch.eye(2), 0.01).tolist()
    [[1.0]]
    """
    a_TBF = torch.einsum("td,bfd->tbf", text_TD, frames_BFD)
    weights_TBF = masked_softmax(a_TBF / tau, mask_BF) @ frame_mix_FF
    if mask_BF is not None:
        # A may carry weight onto a padded frame, which has no similarity to offer.
        a_TBF = a_TBF * mask_BF
    return (a_TBF * weights_TBF).sum(-1)


def weak_patch_score(text_TD: Tensor, patches_BND: Tensor, mask_BN: Tensor | None, tau: float) -> Tensor:
    """S_wp / s = sum_n b_n softmax_n(b / tau)_n with b_n = t . n(p_n) over all patches of all frames, T x B.

    >>> patches = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> weak_patch_score(torch.tensor([[0.0, 1.0]]), patches, None, 0.01).tolist()
    [[1.0]]
    """
    return attended(torch.einsum("td,bnd->tbn", text_TD, patches_BND), mask_BN, tau)


def frame_gate(text_TD: Tensor, frames_BFD: Tensor, mask_BF: Tensor | None, tau: float) -> Tensor:
    """TIB gate w = softmax_f(t . n(f_f) / tau), from the raw CLIP frames, T x B x F.

    >>> frame_gate(torch.tensor([[1.0]]), torch.tensor([[[1.0], [1.0]]]), None, 0.1).tolist()
    [[[0.5, 0.5]]]
    """
    return masked_softmax(torch.einsum("td,bfd->tbf", text_TD, frames_BFD) / tau, mask_BF)


def strong_frame_score(text_TD: Tensor, temporal_BFD: Tensor, gate_TBF: Tensor) -> Tensor:
    """S_sf / s = t . n(sum_f w_f v_f), T x B, in the Gram form (w . c) / sqrt(w^T K w).

    c_f = t . v_f and K = V V^T is F x F a clip, so that the fused vector u is never formed.

    >>> temporal = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> gate = torch.tensor([[[0.5, 0.5]]])
    >>> round(strong_frame_score(torch.tensor([[1.0, 0.0]]), temporal, gate).item(), 4)
    0.7071
    """
    c_TBF = torch.einsum("td,bfd->tbf", text_TD, temporal_BFD)
    gram_BFF = temporal_BFD @ temporal_BFD.transpose(1, 2)
    squared_TB = torch.einsum("tbf,bfg,tbg->tb", gate_TBF, gram_BFF, gate_TBF)
    # Clamped before the root, whose gradient at 0 is infinite.
    return fused_score(gate_TBF, c_TBF, squared_TB.clamp_min(_EPS).sqrt())


def strong_patch_score(text_TD: Tensor, patches_BND: Tensor, mask_BN: Tensor | None, tau: float) -> Tensor:
    """S_sp / s = t . n(sum_n softmax_n(b / tau)_n n(p_n)), T x B; its weight is 0 in the public code.

    >>> patches = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    >>> strong_patch_score(torch.tensor([[1.0, 0.0]]), patches, None, 0.01).tolist()
    [[1.0]]
    """
    b_TBN = torch.einsum("td,bnd->tbn", text_TD, patches_BND)
    gate_TBN = masked_softmax(b_TBN / tau, mask_BN)
    # T x B x D is the fused vector itself; a Gram matrix over N = 588 patches would cost more than it saves.
    fused_TBD = torch.einsum("tbn,bnd->tbd", gate_TBN, patches_BND)
    return fused_score(gate_TBN, b_TBN, torch.linalg.vector_norm(fused_TBD, dim=-1))


def fine_scores(text_TD: Tensor, tokens: FineTokens, frame_mix_FF: Tensor, fusion: Fusion) -> FineScores:
    """All scores of stage 2 for every pair of a text and a clip.

    Args:
        text_TD: unit text vectors, float32.
        tokens: the clips, float32.
        frame_mix_FF: A.
        fusion: weights and temperatures; `fusion.masked` decides whether padding is kept out.

    >>> frames = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])  # of which the second is padding, with one patch each
    >>> tokens = FineTokens(frames, frames, frames, torch.tensor([[1.0, 0.0]]))
    >>> text = torch.tensor([[0.0, 1.0]])
    >>> fine_scores(text, tokens, torch.eye(2), Fusion()).weak_frame_TB.tolist()
    [[0.0]]
    >>> fine_scores(text, tokens, torch.eye(2), Fusion(masked=False)).weak_frame_TB.tolist()
    [[1.0]]
    """
    mask_BF = tokens.mask_BF if fusion.masked else None
    mask_BN = None
    if mask_BF is not None:
        patches_a_frame = tokens.patches_BND.shape[1] // tokens.mask_BF.shape[1]
        mask_BN = mask_BF.repeat_interleave(patches_a_frame, dim=1)
    gate_TBF = frame_gate(text_TD, tokens.frames_BFD, mask_BF, fusion.tau_strong_frame)
    strong_patch_TB = None
    if fusion.strong_patch:
        strong_patch_TB = strong_patch_score(text_TD, tokens.patches_BND, mask_BN, fusion.tau_strong_patch)
    return FineScores(
        weak_frame_TB=weak_frame_score(text_TD, tokens.frames_BFD, mask_BF, frame_mix_FF, fusion.tau_weak),
        strong_frame_TB=strong_frame_score(text_TD, tokens.temporal_BFD, gate_TBF),
        weak_patch_TB=weak_patch_score(text_TD, tokens.patches_BND, mask_BN, fusion.tau_weak),
        strong_patch_TB=strong_patch_TB,
        gate_TBF=gate_TBF,
    )


def fuse(video_TB: Tensor, fine: FineScores, fusion: Fusion) -> Tensor:
    """The final score of the public code: a weighted sum of S_vid and the fine scores, T x B, without s.

    >>> one = torch.ones(1, 1)
    >>> round(fuse(one, FineScores(one, one, one, None, one[None]), Fusion()).item(), 4)  # 0.5 + 0.8 + 0.2 + 0.2
    1.7
    """
    total_TB = (
        fusion.video * video_TB
        + fusion.weak_frame * fine.weak_frame_TB
        + fusion.strong_frame * fine.strong_frame_TB
        + fusion.weak_patch * fine.weak_patch_TB
    )
    if fine.strong_patch_TB is not None:
        total_TB = total_TB + fusion.strong_patch * fine.strong_patch_TB
    return total_TB
