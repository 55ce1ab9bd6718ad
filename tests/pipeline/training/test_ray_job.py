import json
from pathlib import Path

import pytest
import yaml

from jobs.train import main
from models.registry import load_model
from pipeline.datasets.catalog import PUBLISHED, parse_spec
from pipeline.training.freeze import names_under
from schemas.errors import InputError
from schemas.training import TrainConfig
from tests.pipeline.training.test_loop import SETTINGS
from tests.pipeline.training.tiny import tiny_model


@pytest.mark.cluster
def test_two_workers_of_ray_train_end_with_a_bundle_that_loads(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({**SETTINGS, "workers": 2, "cpus_per_worker": 0.5}))
    assert main(["--config", str(recipe), "--out", str(tmp_path / "run"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["steps"], summary["resumed_from"]) == (4, 0)
    assert load_model(summary["bundle"]).token_shape.dim == 16
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert sorted(set(steps)) == [1, 2, 3, 4]


def test_a_users_mistake_shows_before_any_worker_starts(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        main(["--data", "nowhere", "--out", str(tmp_path), "--model", "random-tiny", "--workers", "2"])


def test_the_shipped_recipe_is_one_that_train_accepts():
    recipe = Path(__file__).parents[3] / "models" / "bundles" / "reelsift-tiny" / "recipe.yaml"
    assert TrainConfig.of({**yaml.safe_load(recipe.read_text()), "out": "x"}).steps > 0


@pytest.mark.parametrize(
    "recipe", sorted((Path(__file__).parents[3] / "docs" / "recipes").glob("*.yaml")), ids=lambda p: p.stem
)
def test_recipes_of_the_docs_are_ones_that_train_accepts_and_freeze_what_there_is(recipe):
    config = TrainConfig.of({**yaml.safe_load(recipe.read_text()), "out": "x"})
    assert parse_spec(config.data).name in PUBLISHED
    names = [name for name, _ in tiny_model().named_parameters()]
    assert all(names_under(prefix, names) for prefix in config.freeze)


def test_the_released_recipe_sees_as_many_pairs_as_the_paper_says():
    recipe = Path(__file__).parents[3] / "docs" / "recipes" / "msrvtt-9k-vit-b-32.yaml"
    config = TrainConfig.of({**yaml.safe_load(recipe.read_text()), "out": "x"})
    assert config.steps * config.batch == 5 * 180_000
