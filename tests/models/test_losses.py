import math

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf

from models.losses import LossWeights, TrainingTokens, eercf_losses, logit_scale, symmetric_nce
from schemas.scoring import Fusion
from tests.models.losses_oracle import losses_in_float64

TEXTS, CLIPS, FRAMES, PATCHES, DIM = 8, 5, 4, 3, 16


def inputs(seed, shared=False, sizes=(TEXTS, CLIPS, FRAMES, PATCHES, DIM), scale=20.0):
    """Random unit tokens with padded clips; with `shared`, frames of several clips show one picture.

    Padding has tokens of its own, as in the reference profile: the last picture, and values behind the transformer.
    """
    texts, clips, frames, patches, dim = sizes
    g = torch.Generator().manual_seed(seed)

    def unit(*shape):
        return nnf.normalize(torch.randn(*shape, generator=g, dtype=torch.float64), dim=-1)

    def mix(size):
        return torch.eye(size, dtype=torch.float64) + 0.1 * torch.randn(size, size, generator=g, dtype=torch.float64)

    count = 7 if shared else clips * frames
    index = torch.randint(0, count, (clips, frames), generator=g) if shared else torch.arange(count).view(clips, -1)
    lengths = torch.randint(1, frames + 1, (clips,), generator=g)
    lengths[0], lengths[-1] = frames, 1
    mask = (torch.arange(frames)[None] < lengths[:, None]).double()
    tokens = TrainingTokens(
        text_TD=unit(texts, dim),
        pictures_ND=unit(count + 1, dim),
        patches_NPD=unit(count + 1, patches, dim),
        index_BF=torch.where(mask.bool(), index, count),
        mask_BF=mask,
        temporal_BFD=unit(clips, frames, dim),
        coarse_BD=unit(clips, dim),
    )
    return tokens, torch.tensor(math.log(scale), dtype=torch.float64), mix(dim), mix(frames)


SIZES = [
    (TEXTS, CLIPS, FRAMES, PATCHES, DIM),
    (6, 6, 1, 4, 24),  # clips of a single frame
    (3, 2, 5, 1, 8),  # the smallest batch, one patch
    (9, 7, 12, 9, 64),
]


@pytest.mark.parametrize("profile", ["exact", "reference"])
@pytest.mark.parametrize("gating", ["pairwise", "paired"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_losses_equal_the_formulas_in_float64(profile, gating, shared, sizes):
    for seed, scale in ((3, 20.0), (11, 100.0)):
        tokens, log_scale, coarse_mix, frame_mix = inputs(seed, shared, sizes, scale)
        ignored = torch.zeros(sizes[0], sizes[1], dtype=torch.bool)
        ignored[0, 1] = shared
        narrow = TrainingTokens(**{k: v.float() if v.is_floating_point() else v for k, v in vars(tokens).items()})
        losses = eercf_losses(
            narrow,
            log_scale.float(),
            coarse_mix.float(),
            frame_mix.float(),
            Fusion(masked=profile == "exact"),
            gating=gating,
            ignored_TB=ignored if shared else None,
        )
        expected = losses_in_float64(
            [value.numpy() for value in vars(tokens).values()],
            log_scale.item(),
            coarse_mix.numpy(),
            frame_mix.numpy(),
            masked=profile == "exact",
            paired=gating == "paired",
            ignored=ignored.numpy(),
        )
        for name, value in expected.items():
            assert getattr(losses, name).item() == pytest.approx(value, rel=1e-5, abs=1e-5), name


def test_paired_gating_sends_no_gradient_through_the_gate():
    tokens, *rest = inputs(8)
    pictures = tokens.pictures_ND.requires_grad_()
    only_strong = LossWeights(weak=0.0, strong=1.0, pearson=1.0)
    eercf_losses(tokens, *rest, Fusion(masked=False), only_strong, gating="paired").total.backward()
    assert not pictures.grad.any()


def test_gating_and_masking_each_change_the_loss():
    tokens, log_scale, coarse_mix, frame_mix = inputs(4)
    seen = {
        round(
            eercf_losses(tokens, log_scale, coarse_mix, frame_mix, Fusion(masked=masked), gating=gating).total.item(), 9
        )
        for masked in (True, False)
        for gating in ("pairwise", "paired")
    }
    assert len(seen) == 4


def test_a_padded_frame_takes_no_part_in_the_masked_loss():
    tokens, *rest = inputs(5)
    other = tokens.pictures_ND.clone()
    other[tokens.index_BF[tokens.mask_BF == 0]] = 9.0
    moved = TrainingTokens(**{**vars(tokens), "pictures_ND": other})
    assert torch.equal(eercf_losses(tokens, *rest, Fusion()).total, eercf_losses(moved, *rest, Fusion()).total)


def test_gradient_reaches_every_embedding_and_parameter():
    tokens, log_scale, coarse_mix, frame_mix = inputs(6, shared=True)
    leaves = [tokens.text_TD, tokens.pictures_ND, tokens.patches_NPD, tokens.temporal_BFD, tokens.coarse_BD]
    leaves += [log_scale, coarse_mix, frame_mix]
    for leaf in leaves:
        leaf.requires_grad_()
    eercf_losses(tokens, log_scale, coarse_mix, frame_mix, Fusion()).total.backward()
    assert all(leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0 for leaf in leaves)


def test_weights_of_zero_leave_only_the_pearson_constraint():
    tokens, *rest = inputs(7)
    losses = eercf_losses(tokens, *rest, Fusion(), weights=LossWeights(weak=0.0, strong=0.0, pearson=1.0))
    torch.testing.assert_close(losses.total, losses.pearson)


def test_hard_negatives_count_against_clips_and_not_as_queries():
    logits = torch.zeros(3, 2)
    logits[2] = 5.0  # a negative that every clip takes for its own
    by_text = math.log(2)
    by_clip = math.log(2 + math.exp(5.0))
    assert symmetric_nce(logits).item() == pytest.approx((by_text + by_clip) / 2, rel=1e-6)


def test_logit_scale_stops_at_100():
    assert logit_scale(torch.tensor(7.0)).item() == pytest.approx(100.0, rel=1e-6)
    np.testing.assert_allclose(logit_scale(torch.tensor(2.0)).item(), math.exp(2.0), rtol=1e-6)
