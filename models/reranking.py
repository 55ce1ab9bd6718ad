"""Stage 2 on the CPU: the final scores of candidates, out of their tokens as they are stored.

The formulas are those of `models.scoring`; the products with the tokens, nearly all of the work, are compiled
(`models.token_kernels`) and cost what reading the tokens from memory costs. The score of a pair does not depend, to the
last bit, on the pairs beside it or on the number of threads.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from models.scoring import FineScores, attended, fuse, fused_score, masked_softmax
from models.stored_clips import StoredClips
from models.token_sets import Pairs, TokenSet
from schemas.scoring import Fusion, ScoringParams


def score_pairs(
    pairs: Pairs, clips: StoredClips, coarse_P: np.ndarray, params: ScoringParams, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Final scores of pairs of a text and a clip, and the frame that the text matched best.

    Many texts may share the clips of one block: a clip's pairs are scored in turn, while its tokens are in the cache.

    Args:
        pairs: which text meets which clip.
        clips: the clips.
        coarse_P: S_vid / s of each pair, from stage 1.
        params: the model's scoring parameters.
        threads: among how many the pairs are divided.

    Returns:
        score_P (float32) and best_frame_P (int64, the frame with the largest gate weight).
    """
    if len(pairs.text_QD) > 1:
        order_P = np.argsort(pairs.clip_P, kind="stable")
        place_P = np.argsort(order_P)
        pairs, coarse_P = pairs.part(order_P), coarse_P[order_P]
        score_P, best_P = _shared(pairs, clips, coarse_P, params, threads)
        return score_P[place_P], best_P[place_P]
    return _shared(pairs, clips, coarse_P, params, threads)


def _shared(
    pairs: Pairs, clips: StoredClips, coarse_P: np.ndarray, params: ScoringParams, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Score pairs in their order, among threads."""

    def run(part: slice) -> tuple[Tensor, Tensor]:
        return _score(pairs.part(part), coarse_P[part], clips, params)

    threads = max(1, min(threads, len(pairs)))
    cuts = np.linspace(0, len(pairs), threads + 1).astype(int).tolist()
    parts = [slice(start, end) for start, end in pairwise(cuts)]
    # The calling thread takes a part itself: one thread needs no pool.
    others = [_pool(threads - 1).submit(run, part) for part in parts[1:]]
    done = [run(parts[0]), *(other.result() for other in others)]
    scores, best = zip(*done, strict=True)
    return torch.cat(scores).numpy(), torch.cat(best).numpy()


@torch.inference_mode()
def _score(pairs: Pairs, coarse_P: np.ndarray, clips: StoredClips, params: ScoringParams) -> tuple[Tensor, Tensor]:
    fusion = params.fusion
    a_PF = torch.from_numpy(clips.frames.dots(pairs))
    mask_PF = _rows(clips.mask_BF, pairs).float() if fusion.masked else None
    gate_PF = masked_softmax(a_PF / fusion.tau_strong_frame, mask_PF)
    weak_patch_P, strong_patch_P = _patch_scores(pairs, clips, mask_PF, fusion)
    fine = FineScores(
        weak_frame_TB=_weak_frame(a_PF, mask_PF, params),
        strong_frame_TB=_fused(clips.temporal, pairs, gate_PF, torch.from_numpy(clips.temporal.dots(pairs))),
        weak_patch_TB=weak_patch_P,
        strong_patch_TB=strong_patch_P,
        gate_TBF=gate_PF,
    )
    return fuse(torch.from_numpy(coarse_P).float(), fine, fusion), gate_PF.argmax(-1)


def _weak_frame(a_PF: Tensor, mask_PF: Tensor | None, params: ScoringParams) -> Tensor:
    mix_FF = torch.tensor(params.frame_mix, dtype=torch.float32)
    weight_PF = masked_softmax(a_PF / params.fusion.tau_weak, mask_PF)
    # No matrix product: its last bits depend on the number of rows, and with them the score on the other pairs.
    mixed_PF = (weight_PF[:, :, None] * mix_FF).sum(1)
    kept_PF = a_PF if mask_PF is None else a_PF * mask_PF
    return (kept_PF * mixed_PF).sum(-1)


def _patch_scores(
    pairs: Pairs, clips: StoredClips, mask_PF: Tensor | None, fusion: Fusion
) -> tuple[Tensor, Tensor | None]:
    b_PN = torch.from_numpy(clips.patches.dots(pairs))
    mask_PN = log_count_PN = None
    if clips.merged_BN is not None:
        count_PN = _rows(clips.merged_BN, pairs).float()
        mask_PN, log_count_PN = count_PN > 0, count_PN.clamp_min(1).log()
    elif mask_PF is not None:
        mask_PN = mask_PF.repeat_interleave(b_PN.shape[1] // mask_PF.shape[1], dim=1)
    weak_P = attended(b_PN, mask_PN, fusion.tau_weak, log_count_PN)
    if not fusion.strong_patch:
        return weak_P, None
    logits_PN = b_PN / fusion.tau_strong_patch
    gate_PN = masked_softmax(logits_PN if log_count_PN is None else logits_PN + log_count_PN, mask_PN)
    return weak_P, _fused(clips.patches, pairs, gate_PN, b_PN)


def _fused(tokens: TokenSet, pairs: Pairs, gate_PN: Tensor, similarity_PN: Tensor) -> Tensor:
    norm_P = torch.from_numpy(tokens.mixed_norms(gate_PN.numpy(), pairs.clip_P))
    return fused_score(gate_PN, similarity_PN, norm_P)


def _rows(values_BX: np.ndarray, pairs: Pairs) -> Tensor:
    return torch.from_numpy(values_BX[pairs.clip_P])


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="score")
