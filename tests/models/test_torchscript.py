import pickle
import zipfile

import open_clip
import pytest
import torch

from models.registry import load_model
from models.torchscript import is_torchscript, read_torchscript
from schemas.errors import UnknownModelError
from tests.models.test_towers import shallow

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """CLIP as OpenAI publishes it: a traced program with half-precision weights and three facts; here a shallow one."""
    torch.manual_seed(4)
    made = shallow("ViT-B-32") | {"quick_gelu": True}
    clip = open_clip.CLIP(**made).eval().requires_grad_(False)
    for name, parameter in clip.named_parameters():
        if name.endswith(("proj", "in_proj_weight")):
            parameter.data = parameter.data.half().float()
    del clip.context_length, clip.vocab_size
    for name, fact in (("input_resolution", 64), ("context_length", 77), ("vocab_size", 50)):
        clip.register_buffer(name, torch.tensor(fact))
    path = tmp_path_factory.mktemp("archive") / "ViT-B-32.pt"
    traced = torch.jit.trace_module(clip, {"encode_image": torch.zeros(1, 3, 64, 64)}, strict=False)
    traced.save(str(path))
    return path, clip


def test_tensors_are_those_of_the_program(archive):
    path, clip = archive
    assert is_torchscript(path)
    found = read_torchscript(path)
    state = clip.state_dict()
    assert state.keys() <= found.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_openais_archive_gets_quickgelu_whatever_the_architecture_is_called(archive, monkeypatch):
    path, clip = archive
    made = shallow("ViT-B-32")
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: made)
    model = load_model(f"ViT-B-32@{path}")
    assert model.config.clip["quick_gelu"]
    pixels = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model.clip.encode_image(pixels), clip.encode_image(pixels), atol=1e-5, rtol=1e-5)


def test_an_archive_of_another_architecture_is_refused_with_names(archive):
    with pytest.raises(UnknownModelError, match="missing transformer") as error:
        load_model(f"ViT-S-32@{archive[0]}")
    assert "\n" not in str(error.value)


def test_code_in_an_archive_is_never_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as archive:
        archive.writestr("evil/constants.pkl", b"")
        archive.writestr("evil/data.pkl", pickle.dumps(Evil(), protocol=2))
    with pytest.raises(UnknownModelError, match="asks for"):
        read_torchscript(tmp_path / "evil.pt")
    assert not (tmp_path / "touched").exists()


def test_other_files_are_not_taken_for_archives(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "plain.pt")
    (tmp_path / "text.pt").write_text("hello")
    assert not is_torchscript(tmp_path / "plain.pt")
    assert not is_torchscript(tmp_path / "text.pt")
