import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from models.reranking import score_pairs
from models.scoring import FineTokens, fine_scores, fuse
from models.stored_clips import StoredClips
from models.token_sets import Pairs
from schemas.scoring import Fusion, ScoringParams

Q, B, F, P, D = 3, 9, 5, 4, 48
TEXT_QD = normalize(torch.randn(Q, D, generator=torch.Generator().manual_seed(9)), dim=-1)


def made(dtype, *, padding_has_tokens=False):
    """Clips of 1 to F frames as FineTokens; padding has zeros, or tokens as in the reference profile."""
    draw = torch.Generator().manual_seed(4)
    mask = (torch.arange(F)[None] < torch.randint(1, F + 1, (B, 1), generator=draw)).float()
    kept = torch.ones_like(mask) if padding_has_tokens else mask
    raw, temporal = (normalize(torch.randn(B, F, D, generator=draw), dim=-1) * kept[..., None] for _ in range(2))
    patches = normalize(torch.randn(B, F, P, D, generator=draw), dim=-1) * kept[..., None, None]
    return FineTokens(raw.to(dtype), temporal.to(dtype), patches.flatten(1, 2).to(dtype), mask)


def params_of(**fusion):
    mix = torch.eye(F) + 0.1 * torch.randn(F, F, generator=torch.Generator().manual_seed(1))
    return ScoringParams(fusion=Fusion(**fusion), frame_mix=tuple(map(tuple, mix.tolist())))


@pytest.fixture
def every_pair():
    """All texts with all clips, and a coarse score for each pair."""
    query, clip = np.divmod(np.arange(Q * B), B)
    return Pairs(TEXT_QD.numpy(), query, clip), np.random.default_rng(0).uniform(size=Q * B).astype(np.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("fusion", [{}, {"strong_patch": 0.3}, {"masked": False, "strong_patch": 0.3}], ids=str)
def test_stored_tokens_score_as_the_formula_does(every_pair, dtype, fusion):
    pairs, coarse_P = every_pair
    tokens, params = made(dtype, padding_has_tokens=fusion.get("masked") is False), params_of(**fusion)
    wide = FineTokens(
        tokens.frames_BFD.float(), tokens.temporal_BFD.float(), tokens.patches_BND.float(), tokens.mask_BF
    )
    fine = fine_scores(TEXT_QD, wide, torch.tensor(params.frame_mix), params.fusion)
    expected_TB = fuse(torch.from_numpy(coarse_P).view(Q, B), fine, params.fusion)
    score_P, best_P = score_pairs(pairs, StoredClips.of(tokens), coarse_P, params)
    np.testing.assert_allclose(score_P, expected_TB.flatten(), atol=2e-6)
    np.testing.assert_array_equal(best_P, fine.gate_TBF.argmax(-1).flatten())


def test_a_score_is_the_same_to_the_last_bit_whatever_is_scored_beside_it(every_pair):
    pairs, coarse_P = every_pair
    clips, params = StoredClips.of(made(torch.float16)), params_of(strong_patch=0.3)
    together, _ = score_pairs(pairs, clips, coarse_P, params)
    for threads in (2, 5, 100):
        np.testing.assert_array_equal(score_pairs(pairs, clips, coarse_P, params, threads)[0], together)
    alone = [score_pairs(pairs.part(slice(p, p + 1)), clips, coarse_P[p : p + 1], params)[0][0] for p in range(Q * B)]
    np.testing.assert_array_equal(alone, together)
    order = np.random.default_rng(2).permutation(Q * B)
    mixed = Pairs(pairs.text_QD, pairs.query_P[order], pairs.clip_P[order])
    np.testing.assert_array_equal(score_pairs(mixed, clips, coarse_P[order], params)[0], together[order])


def test_no_candidates_have_no_scores():
    nothing = Pairs(TEXT_QD.numpy(), np.empty(0, np.int64), np.empty(0, np.int64))
    score_P, best_P = score_pairs(nothing, StoredClips.of(made(torch.float16)), np.empty(0, np.float32), params_of())
    assert score_P.shape == best_P.shape == (0,)
