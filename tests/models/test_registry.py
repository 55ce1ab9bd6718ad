import json

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from models.config import ModelConfig, Preprocess
from models.eercf import EercfModel
from models.registry import BUNDLES, canonical_model, load_model, shipped_models
from models.weights import save_bundle
from schemas.errors import UnknownModelError
from tests.models.test_eercf import SMALL


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "mine"
    torch.manual_seed(5)
    model = EercfModel(ModelConfig(clip=SMALL, num_frames=4, preprocess=Preprocess(image_size=32)), "mine")
    save_bundle(model, model.config, folder)
    return folder, model


def test_a_saved_bundle_loads_with_the_same_weights_and_a_stable_id(bundle):
    folder, model = bundle
    loaded = load_model(str(folder))
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), model.state_dict().values(), strict=True)
    )
    assert loaded.model_id == load_model(str(folder)).model_id
    assert loaded.model_id.startswith("mine-")


def test_one_changed_weight_changes_the_model_id(bundle, tmp_path):
    folder, model = bundle
    before = load_model(str(folder)).model_id
    with torch.no_grad():
        model.coarse_mix_DD[0, 0] += 1e-3
    save_bundle(model, model.config, tmp_path / "mine")
    assert load_model(str(tmp_path / "mine")).model_id != before


def test_weights_that_do_not_fit_are_named(bundle, tmp_path):
    folder, _ = bundle
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    save_file({"stray": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(UnknownModelError, match=r"missing clip.*and .* more"):
        load_model(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no-such-model", "random-tiny"),
        ("ViT-B-32/no-such-tag", "openai"),
        ("RN50/openai", "plain CLIP ViT"),
        ("ViT-B-16-SigLIP/webli", "custom_text"),
        ("EVA02-B-16/merged2b_s8b_b131k", "not a plain CLIP ViT"),
        ("ViT-H-14-378-quickgelu/dfn5b", "squash"),
        ("ViT-B-32@/no/such/file.safetensors", "no file"),
        ("coca_ViT-B-32/laion2b_s13b_b90k", "not a plain CLIP ViT"),
    ],
)
def test_an_unknown_model_is_refused_with_what_to_use(name, says):
    with pytest.raises(UnknownModelError, match=says) as error:
        load_model(name)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UnknownModelError, match=r"config\.json"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"clip": SMALL, "preprocess": {"image_size": 2}}))
    with pytest.raises(UnknownModelError, match=r"preprocess\.image_size"):
        load_model(str(tmp_path))


def test_clip_weights_of_a_local_file_are_used(tmp_path):
    torch.manual_seed(2)
    architecture = open_clip.get_model_config("ViT-S-32")
    source = open_clip.CLIP(**architecture)
    save_file({k: v.contiguous() for k, v in source.state_dict().items()}, tmp_path / "w.safetensors")
    loaded = load_model(f"ViT-S-32@{tmp_path / 'w.safetensors'}")
    assert torch.equal(loaded.clip.visual.proj, source.visual.proj)
    assert loaded.token_shape.model_dump() == {"frames": 12, "patches": 49, "dim": 384}
    assert torch.equal(
        loaded.temporal.resblocks[0].attn.in_proj_weight, source.transformer.resblocks[0].attn.in_proj_weight
    )


def test_a_file_that_holds_no_weights_is_refused_not_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    torch.save(Evil(), tmp_path / "evil.pt")
    with pytest.raises(UnknownModelError, match="does not hold"):
        load_model(f"ViT-S-32@{tmp_path / 'evil.pt'}")
    assert not (tmp_path / "touched").exists()


def test_names_are_stored_so_that_they_hold_elsewhere(bundle, monkeypatch):
    folder, _ = bundle
    monkeypatch.chdir(folder.parent)
    assert canonical_model("mine") == str(folder)
    assert canonical_model("ViT-B-32@w.pt") == f"ViT-B-32@{folder.parent / 'w.pt'}"
    assert canonical_model("random-tiny") == "random-tiny"


def test_every_shipped_bundle_loads():
    assert shipped_models() == sorted(path.name for path in BUNDLES.iterdir())
    for name in shipped_models():
        assert load_model(name).model_id.startswith(f"{name}-")
