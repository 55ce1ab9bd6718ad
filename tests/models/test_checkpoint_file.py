import argparse

import pytest
import torch
from safetensors.torch import save_file

from models.checkpoint_file import read_state
from schemas.errors import UnknownModelError


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_tensors_come_back_from_both_formats_without_the_prefix(tmp_path):
    state = {"module.a": torch.ones(2), "module.b": torch.zeros(3, dtype=torch.float16)}
    torch.save({"state_dict": state}, tmp_path / "a.bin")
    save_file(state, tmp_path / "a.safetensors")
    for name in ("a.bin", "a.safetensors"):
        found = read_state(tmp_path / name)
        assert list(found) == ["a", "b"]
        assert torch.equal(found["b"], state["module.b"])


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_named_and_never_run(tmp_path, legacy):
    touched = tmp_path / "touched"
    torch.save(
        {"a": torch.zeros(1), "b": Evil(str(touched))},
        tmp_path / "evil.bin",
        _use_new_zipfile_serialization=not legacy,
    )
    with pytest.raises(UnknownModelError, match=r"asks for \S*open.* never run") as error:
        read_state(tmp_path / "evil.bin")
    assert "\n" not in str(error.value)
    assert not touched.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"epoch": 1, "optimizer_state_dict": {}}, "'epoch' is no tensor"),
        ([torch.zeros(1)], "a list"),
        ({}, "no state dict"),
        ({"args": argparse.Namespace(a=1)}, "asks for argparse.Namespace"),
    ],
)
def test_something_else_than_a_state_dict_is_refused(tmp_path, content, says):
    torch.save(content, tmp_path / "x.bin")
    with pytest.raises(UnknownModelError, match=says):
        read_state(tmp_path / "x.bin")


@pytest.mark.parametrize("name", ["x.bin", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello world", b"PK\x03\x04 cut off"])
def test_bytes_that_are_no_checkpoint_end_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnknownModelError, match=r"cut off|no plain pickle") as error:
        read_state(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_told_as_such(tmp_path):
    with pytest.raises(UnknownModelError, match="No such file"):
        read_state(tmp_path / "x.bin")
    with pytest.raises(UnknownModelError, match="directory"):
        read_state(tmp_path)
