import math

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf

from models.losses import LossWeights, TrainingTokens, eercf_losses, logit_scale, symmetric_nce
from schemas.scoring import Fusion
from tests.models.losses_oracle import total_loss

TEXTS, CLIPS, FRAMES, PATCHES, DIM = 8, 5, 4, 3, 16


def inputs(seed, shared):
    """Random unit tokens with padded clips; with `shared`, frames of several clips show one picture."""
    g = torch.Generator().manual_seed(seed)

    def unit(*shape):
        return nnf.normalize(torch.randn(*shape, generator=g, dtype=torch.float64), dim=-1)

    count = 7 if shared else CLIPS * FRAMES
    index = torch.randint(0, count, (CLIPS, FRAMES), generator=g) if shared else torch.arange(count).view(CLIPS, FRAMES)
    mask = torch.ones(CLIPS, FRAMES, dtype=torch.float64)
    mask[1, 2:] = 0
    mask[3, 1:] = 0
    temporal = unit(CLIPS, FRAMES, DIM) * mask[..., None]
    tokens = TrainingTokens(
        unit(TEXTS, DIM), unit(count, DIM), unit(count, PATCHES, DIM), index, mask, temporal, unit(CLIPS, DIM)
    )
    coarse_mix = torch.eye(DIM, dtype=torch.float64) + 0.1 * torch.randn(DIM, DIM, generator=g, dtype=torch.float64)
    frame_mix = torch.eye(FRAMES, dtype=torch.float64) + 0.1 * torch.randn(
        FRAMES, FRAMES, generator=g, dtype=torch.float64
    )
    return tokens, torch.tensor(math.log(20.0), dtype=torch.float64), coarse_mix, frame_mix


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("masked", "gating"), [(True, "pairwise"), (True, "paired"), (False, "paired"), (False, "pairwise")]
)
def test_total_loss_equals_the_formulas_in_float64(masked, gating, shared):
    tokens, log_scale, coarse_mix, frame_mix = inputs(3, shared)
    ignored = torch.zeros(TEXTS, CLIPS, dtype=torch.bool)
    ignored[0, 2] = ignored[4, 1] = shared
    narrow = TrainingTokens(**{k: v.float() if v.is_floating_point() else v for k, v in vars(tokens).items()})
    losses = eercf_losses(
        narrow,
        log_scale.float(),
        coarse_mix.float(),
        frame_mix.float(),
        Fusion(masked=masked),
        gating=gating,
        ignored_TB=ignored if shared else None,
    )
    arrays = [value.numpy() for value in vars(tokens).values()]
    expected = total_loss(
        arrays,
        log_scale.item(),
        coarse_mix.numpy(),
        frame_mix.numpy(),
        masked=masked,
        paired=gating == "paired",
        ignored=ignored.numpy(),
    )
    assert losses.total.item() == pytest.approx(expected, rel=1e-5)


def test_gating_and_masking_each_change_the_loss():
    tokens, log_scale, coarse_mix, frame_mix = inputs(4, shared=False)
    seen = {
        round(
            eercf_losses(tokens, log_scale, coarse_mix, frame_mix, Fusion(masked=masked), gating=gating).total.item(), 9
        )
        for masked in (True, False)
        for gating in ("pairwise", "paired")
    }
    assert len(seen) == 4


def test_a_padded_frame_takes_no_part_in_the_masked_loss():
    tokens, *rest = inputs(5, shared=False)
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
    tokens, *rest = inputs(7, shared=False)
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
