import pytest
import torch

from pipeline.training.average import follow
from pipeline.training.freeze import freeze
from pipeline.training.loop import train
from pipeline.training.step import GlobalStep
from schemas.errors import ConfigError
from tests.pipeline.training.test_loop import settings
from tests.pipeline.training.tiny import batches_of, gradient, relative_error, tiny_model

FROZEN = ("frame_mix_FF", "clip.visual.conv1", "clip.token_embedding")


def trained_gradient(frozen, **how):
    model = tiny_model()
    freeze(model, frozen)
    GlobalStep(model, **how).backward(batches_of(model, 4)(0))
    return {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("how", [{}, {"micro_batch": 3}])
@pytest.mark.parametrize("frozen", [FROZEN, ("clip.visual",), ("clip", "frame_positions_FD")])
def test_frozen_parameters_get_no_gradient_and_all_others_the_same(frozen, how):
    found = trained_gradient(frozen, **how)
    stopped = {name for name, grad in found.items() if grad is None}
    assert stopped == {name for name in found if any(name == p or name.startswith(p + ".") for p in frozen)}
    model = tiny_model()
    GlobalStep(model).backward(batches_of(model, 4)(0))
    whole = gradient(model)
    rest = {name: grad for name, grad in found.items() if grad is not None}
    assert relative_error(rest, {name: whole[name] for name in rest}) < 1e-5


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_leaves_frozen_parameters_as_they_start_to_the_bit_averages_included(optimizer, tmp_path):
    frozen = [*FROZEN, "temporal.resblocks.0.mlp.c_fc"]
    shape = {"freeze": frozen, "micro_batch": 2, "optimizer": optimizer, "weight_decay": 0.5}
    config = settings(tmp_path, steps=2, validate_every=2, **shape)
    train(config)
    from pipeline.training.start import starting_model

    start = starting_model(config).state_dict()
    stored = torch.load(tmp_path / "checkpoints/step-00000002.pt", weights_only=True)
    for state in (stored["model"], stored["progress"]["averaged"]):
        stayed = {name for name, tensor in state.items() if torch.equal(tensor, start[name])}
        learned = dict(starting_model(config).named_parameters())
        assert stayed & set(learned) == {name for name, p in learned.items() if not p.requires_grad}


def test_averaging_equal_weights_changes_no_bit():
    model = tiny_model()
    averaged = {}
    for step in range(5):
        follow(averaged, model, 0.99, step)
    assert all(torch.equal(tensor, averaged[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("prefixes", "says"), [(["clip.visua"], "clip.visua"), (["frame_mix_FF", "x"], "'x'"), ([""], "''")]
)
def test_a_prefix_of_no_parameter_is_one_line(prefixes, says):
    with pytest.raises(ConfigError, match=says):
        freeze(tiny_model(), prefixes)


def test_freezing_everything_is_refused():
    model = tiny_model()
    with pytest.raises(ConfigError, match="nothing to train"):
        freeze(model, sorted({name.split(".")[0] for name, _ in model.named_parameters()}))
