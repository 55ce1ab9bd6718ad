import pytest

from models.weights import save_bundle
from pipeline.training.start import gating_of, starting_model
from schemas.errors import ConfigError
from schemas.training import TrainConfig


def settings(**changes):
    return TrainConfig.of({"data": "synthetic:1", "out": "run", "model": "random-tiny"} | changes)


def test_the_profile_of_a_run_goes_into_its_model(tmp_path):
    model = starting_model(settings(profile="reference"))
    assert not model.config.fusion.masked
    save_bundle(model, model.config, tmp_path / "mine")
    again = settings(model=str(tmp_path / "mine"))
    assert starting_model(again).config.profile == "reference"
    assert starting_model(settings(model=str(tmp_path / "mine"), profile="exact")).config.fusion.masked


def test_gating_follows_the_profile_unless_it_is_set():
    assert gating_of(settings(), "reference") == "paired"
    assert gating_of(settings(gating="pairwise"), "reference") == "pairwise"
    assert gating_of(settings(gating="paired"), "exact") == "paired"
    with pytest.raises(ConfigError, match="gating"):
        settings(gating="other")


def test_a_model_of_other_clips_than_the_data_has_is_refused_in_one_line():
    clip = starting_model(settings()).config.model_dump(exclude_none=True) | {"num_frames": 5}
    with pytest.raises(ConfigError, match="have 12 frames, the model takes 5"):
        starting_model(TrainConfig.of({"data": "synthetic:1", "out": "run", "architecture": clip}))
