import json

import pytest

from pipeline.training.checkpoint_list import POINTER, checkpoint_name
from pipeline.training.settings import FREE, SETTINGS, keep_settings
from schemas.errors import StorageError, UsageError
from schemas.training import TrainConfig


def config_of(out, **changes):
    return TrainConfig.of({"data": "synthetic:1", "model": "reelsift-tiny", "out": str(out), **changes})


@pytest.fixture
def begun(tmp_path):
    """A run of one step."""
    keep_settings(config_of(tmp_path))
    (tmp_path / POINTER).write_text(json.dumps({"steps": [1]}))
    checkpoint = tmp_path / checkpoint_name(1)
    checkpoint.parent.mkdir()
    checkpoint.touch()
    return tmp_path


@pytest.mark.parametrize("changes", [{"seed": 9}, {"batch": 8}, {"lr": 0.5}, {"data": "synthetic:2"}])
def test_a_run_does_not_go_on_with_settings_that_change_its_gradient(begun, changes):
    before = (begun / SETTINGS).read_bytes()
    (name,) = changes
    with pytest.raises(UsageError, match=f"made with {name}="):
        keep_settings(config_of(begun, **changes))
    assert (begun / SETTINGS).read_bytes() == before


def test_a_run_goes_on_with_more_steps_and_other_workers(begun):
    keep_settings(config_of(begun, steps=5000, workers=2, batch=64))
    assert json.loads((begun / SETTINGS).read_bytes())["steps"] == 5000


def test_what_has_no_checkpoint_yet_may_begin_anew_with_other_settings(tmp_path):
    keep_settings(config_of(tmp_path))
    keep_settings(config_of(tmp_path, seed=9))
    assert json.loads((tmp_path / SETTINGS).read_bytes())["seed"] == 9


def test_damaged_settings_are_one_line(begun):
    (begun / SETTINGS).write_text("{")
    with pytest.raises(StorageError, match="is damaged"):
        keep_settings(config_of(begun))


def test_only_settings_that_there_are_may_differ():
    assert set(TrainConfig.model_fields) >= FREE
