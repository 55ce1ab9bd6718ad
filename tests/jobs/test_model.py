import json

import pytest
import torch

from jobs.reelsift import dispatch
from models.registry import load_model
from schemas.errors import ConfigError, UnknownModelError, UsageError
from tests.models.public_state import random_state


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("public") / "pytorch_model.bin.4"
    torch.save(random_state("small", 7, 5), path)
    return str(path)


def test_an_import_makes_a_folder_that_is_a_models_name(checkpoint, tmp_path, capsys):
    out = tmp_path / "deep" / "mine"
    assert dispatch(["model", "import", checkpoint, "--out", str(out), "--words", "20", "--json"]) == 0
    said = capsys.readouterr().out
    model = load_model(str(out))
    assert model.model_id in said
    assert json.loads(said.splitlines()[-1])["model_id"] == model.model_id
    assert model.tokenizer(["very " * 60]).shape == (1, 20)
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "model.safetensors"]
    assert [path.name for path in out.parent.iterdir()] == ["mine"]


def test_a_folder_that_holds_something_is_left_alone(checkpoint, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        dispatch(["model", "import", checkpoint, "--out", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_file_that_does_not_fit_leaves_no_folder(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.bin")
    with pytest.raises(UnknownModelError, match=r"missing clip\.visual\.conv1\.weight; .*; and 6 more"):
        dispatch(["model", "import", str(tmp_path / "other.bin"), "--out", str(tmp_path / "out")])
    assert [path.name for path in tmp_path.iterdir()] == ["other.bin"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["import", "x.bin"], "'out' is missing"),
        (["import", "--out", "x"], "'file' is missing"),
        (["import", "x.bin", "--out", "x", "--profile", "old"], "'profile' = 'old'"),
        (["import", "x.bin", "--out", "x", "--words", "2"], "'words' = 2"),
        (["show"], "'model' is missing"),
    ],
)
def test_wrong_settings_are_named(words, says):
    with pytest.raises(ConfigError, match=says):
        dispatch(["model", *words])


def test_an_unknown_subcommand_is_told_with_what_there_is():
    with pytest.raises(UsageError, match=r"reelsift model import FILE"):
        dispatch(["model", "export"])


def test_show_tells_sizes_config_and_the_id_that_tables_are_bound_to(capsys):
    assert dispatch(["model", "show", "random-tiny"]) == 0
    said = capsys.readouterr().out
    assert load_model("random-tiny").model_id in said
    assert "9,904,913 parameters" in said
    assert '"vocab_size": 49408' in said
