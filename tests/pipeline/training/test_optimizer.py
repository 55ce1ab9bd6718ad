import math

import pytest
import torch

from pipeline.training.muon import orthogonal
from pipeline.training.optimizer import build_optimizers, rate_factor
from schemas.training import TrainConfig
from tests.pipeline.training.tiny import ARCHITECTURE, tiny_model


def groups(**settings):
    config = TrainConfig.of({"data": "synthetic:1", "out": "x", "architecture": ARCHITECTURE, "lr": 1e-3, **settings})
    model = tiny_model()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    optimizers = build_optimizers(model, config)
    found = {}
    for member in optimizers.members:
        for group in member.param_groups:
            for parameter in group["params"]:
                assert names[id(parameter)] not in found
                found[names[id(parameter)]] = (type(member).__name__, group["peak_lr"], group["weight_decay"])
    assert set(found) == set(names.values())
    return found


def test_every_parameter_is_in_one_group_and_only_matrices_decay():
    found = groups(weight_decay=0.2)
    assert found["clip.logit_scale"] == ("AdamW", 1e-3, 0.0)
    assert found["clip.ln_final.weight"][2] == 0.0
    assert found["temporal.resblocks.0.mlp.c_fc.bias"][2] == 0.0
    assert found["coarse_mix_DD"][2] == 0.0
    assert found["temporal.resblocks.0.mlp.c_fc.weight"] == ("AdamW", 1e-3, 0.2)


def test_pretrained_towers_learn_at_their_own_rate():
    found = groups(clip_lr=1e-6)
    assert {rate for name, (_, rate, _) in found.items() if name.startswith("clip.")} == {1e-6}
    assert {rate for name, (_, rate, _) in found.items() if not name.startswith("clip.")} == {1e-3}


def test_muon_takes_the_matrices_of_blocks_and_nothing_else():
    muon = {name for name, (kind, _, _) in groups(optimizer="muon").items() if kind == "Muon"}
    assert "clip.transformer.resblocks.0.attn.in_proj_weight" in muon
    assert all("resblocks" in name and not name.endswith("bias") for name in muon)


def test_the_rate_rises_then_falls_to_nearly_zero_and_never_leaves_the_unit_interval():
    factors = [rate_factor(step, 100, 0.1) for step in range(100)]
    assert max(factors) == pytest.approx(1.0)
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert 0 < factors[-1] < 1e-3


def test_a_step_moves_weights_by_the_rate_and_drops_gradients():
    config = TrainConfig.of({"data": "synthetic:1", "out": "x", "architecture": ARCHITECTURE, "optimizer": "muon"})
    model = tiny_model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizers = build_optimizers(model, config)
    optimizers.step(0.0)
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("shape", [(16, 16), (48, 16), (16, 64)])
def test_muons_update_has_singular_values_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert values.min() > 0.3
    assert values.max() < 1.3
    assert math.isfinite(values.sum())
