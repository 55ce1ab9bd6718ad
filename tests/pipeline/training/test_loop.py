import json

import pytest
import torch
from safetensors.torch import load_file

from models.registry import load_model
from pipeline.training.loop import BUNDLE, train
from pipeline.training.run_log import METRICS
from pipeline.training.source import validation_gallery
from pipeline.training.validation import rank_gallery
from schemas.errors import ConfigError, InputError, StorageError
from schemas.training import TrainConfig
from tests.pipeline.training.tiny import ARCHITECTURE

SETTINGS = {
    "data": "synthetic:5",
    "architecture": ARCHITECTURE,
    "vocabulary_captions": 300,
    "composed": True,
    "batch": 4,
    "steps": 4,
    "optimizer": "muon",
    "ema": 0.9,
    "lr": 1e-3,
    "loaders": 0,
    "workers": 0,
    "validation_clips": 3,
    "validate_every": 2,
    "checkpoint_every": 2,
    "log_every": 1,
}


def settings(out, **changes):
    return TrainConfig.of({**SETTINGS, "out": str(out), **changes})


class KilledError(Exception):
    pass


def kill(figures):
    raise KilledError


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return train(settings(out)), out


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(undisturbed, tmp_path):
    _, whole = undisturbed
    with pytest.raises(KilledError):
        train(settings(tmp_path), tell=kill)
    summary = train(settings(tmp_path))
    assert (summary.resumed_from, summary.steps) == (2, 4)
    weights = [
        torch.load(out / "checkpoints/step-00000004.pt", weights_only=True)["model"] for out in (whole, tmp_path)
    ]
    assert all(torch.equal(weights[0][name], tensor) for name, tensor in weights[1].items())


def test_a_finished_run_does_nothing_again(undisturbed):
    _, out = undisturbed
    before = (out / METRICS).read_text()
    assert train(settings(out)).resumed_from == 4
    assert (out / METRICS).read_text() == before


def test_the_bundle_is_the_best_models_and_is_loaded_by_its_folder(undisturbed):
    summary, out = undisturbed
    lines = [json.loads(line) for line in (out / METRICS).read_text().splitlines()]
    validated = {line["step"]: line["recall_1"] for line in lines if "recall_1" in line}
    assert sorted(validated) == [2, 4]
    assert summary.best_recall_1 == pytest.approx(max(validated.values()), abs=1e-3)
    model = load_model(summary.bundle)
    assert all(t.dtype == torch.float16 for t in load_file(out / BUNDLE / "model.safetensors").values())
    assert model.encode_text(["a red star"]).shape == (1, 16)
    ranks = rank_gallery(model, validation_gallery(settings(out), model)[0])
    assert ranks.fine_T.min() >= 1
    assert ranks.fine_T.max() <= 3


def test_metrics_tell_every_step(undisturbed):
    _, out = undisturbed
    lines = [json.loads(line) for line in (out / METRICS).read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]


def test_another_architecture_in_the_same_folder_is_one_line(undisturbed):
    _, out = undisturbed
    with pytest.raises(StorageError, match="another --out"):
        train(settings(out, architecture={**ARCHITECTURE, "temporal_layers": 2}))


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"data": "synthetic:x"}, ConfigError, "synthetic:SEED"),
        ({"data": "nowhere", "composed": False}, InputError, "nowhere"),
        ({"architecture": {**ARCHITECTURE, "num_frames": 0}}, ConfigError, "architecture.num_frames"),
    ],
)
def test_wrong_settings_are_one_line(changes, error, says, tmp_path):
    with pytest.raises(error, match=says):
        train(settings(tmp_path, **changes))


@pytest.mark.parametrize(
    "changes",
    [{"model": "random-tiny"}, {"architecture": None}, {"batch": 5, "workers": 2}, {"data": "clips", "composed": True}],
)
def test_settings_that_contradict_each_other_are_refused(changes, tmp_path):
    with pytest.raises(ConfigError):
        settings(tmp_path, **changes)
