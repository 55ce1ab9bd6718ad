import numpy as np
import open_clip
import pytest
import torch

from models.eercf import EercfModel
from models.public_checkpoint import infer_config, read_public, translate
from models.registry import load_model
from models.scoring import FineTokens, fine_scores, fuse, video_score
from models.towers import normalize_pixels
from models.weights import new_bundle
from schemas.errors import UnknownModelError
from tests.models import public_oracle
from tests.models.eercf_oracle import final_score, scores_of_pair
from tests.models.public_state import meta_state, random_state

FRAMES = 5
TEXTS = ["a red star", "two blue rings turn, then " + "very " * 40 + "slowly", "a dog"]
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 0]])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The file as DistributedDataParallel would leave it, and its tensors by the public code's names."""
    path = tmp_path_factory.mktemp("public") / "pytorch_model.bin.4"
    state = random_state("small", 7, FRAMES)
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    return path, state


@pytest.fixture(scope="module")
def imported(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported") / "mine"
    config, state = read_public(checkpoint[0])
    new_bundle(state, config, folder)
    return load_model(str(folder))


@pytest.fixture(scope="module")
def pictures():
    draw = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (len(MASK), FRAMES, 32, 32, 3), dtype=torch.uint8, generator=draw)


@pytest.fixture(scope="module")
def public(checkpoint, imported, pictures):
    """Texts and clips as the public code would embed them."""
    state = public_oracle.arrays(checkpoint[1])
    full = open_clip.SimpleTokenizer(context_length=32)
    clips = []
    for frames, mask in zip(pictures, MASK, strict=True):
        pixels = normalize_pixels(frames, imported.config.preprocess).double().numpy()
        clips.append(public_oracle.clip(state, pixels, mask.double().numpy()))
    return state, [public_oracle.text(state, ids) for ids in full(TEXTS).numpy()], clips


def test_imported_weights_embed_texts_and_clips_as_the_public_code(imported, public, pictures):
    _, texts, clips = public
    np.testing.assert_allclose(imported.encode_text(TEXTS).numpy(), texts, atol=1e-5)
    tokens = imported.encode_clips(pictures, MASK)
    for j, clip in enumerate(clips):
        np.testing.assert_allclose(tokens.frames_BFD[j].numpy(), clip["raw"], atol=1e-5)
        np.testing.assert_allclose(tokens.temporal_BFD[j].numpy(), clip["temporal"], atol=1e-5)
        np.testing.assert_allclose(tokens.patches_BFPD[j].numpy(), clip["patches"], atol=1e-5)
        np.testing.assert_allclose(tokens.coarse_BD[j].numpy(), clip["coarse"], atol=1e-5)


def test_imported_weights_score_padded_clips_as_the_public_code(imported, public, pictures):
    state, texts, clips = public
    mixes = state["global_mat_weight"], state["frame_logit_weight"]
    want = [
        [
            scores_of_pair(t, c["raw"], c["temporal"], c["patches"], mask, c["coarse"], *mixes, masked=False)
            for c, mask in zip(clips, MASK, strict=True)
        ]
        for t in texts
    ]
    tokens = imported.encode_clips(pictures, MASK)
    fine_tokens = FineTokens(tokens.frames_BFD, tokens.temporal_BFD, tokens.patches_BFPD.flatten(1, 2), MASK.float())
    text_TD, fusion = imported.encode_text(TEXTS), imported.config.fusion
    video_TB = video_score(text_TD, imported.coarse_mix_DD, tokens.coarse_BD)
    fine = fine_scores(text_TD, fine_tokens, imported.frame_mix_FF, fusion.model_copy(update={"strong_patch": 1.0}))
    got = {
        "video": video_TB,
        "weak_frame": fine.weak_frame_TB,
        "strong_frame": fine.strong_frame_TB,
        "weak_patch": fine.weak_patch_TB,
        "strong_patch": fine.strong_patch_TB,
    }
    for name, score_TB in got.items():
        expected = [[cell[name] for cell in row] for row in want]
        np.testing.assert_allclose(score_TB.numpy(), expected, atol=1e-4, rtol=0, err_msg=name)
    final = [[final_score(cell) for cell in row] for row in want]
    np.testing.assert_allclose(fuse(video_TB, fine, fusion).numpy(), final, atol=1e-4, rtol=0)
    assert np.ptp(final) > 0.1  # the weights do tell clips apart


def test_tensors_keep_their_type_in_the_folder_and_are_widened_when_loaded(checkpoint, imported):
    assert imported.clip.visual.proj.dtype == torch.float32
    assert torch.equal(imported.clip.visual.proj, checkpoint[1]["clip.visual.proj"].float())
    assert imported.config.clip["quick_gelu"]
    assert imported.config.profile == "reference"
    assert imported.model_id.startswith("mine-")


def test_the_profile_is_part_of_a_models_identity(checkpoint, imported, tmp_path):
    config, state = read_public(checkpoint[0], "exact")
    new_bundle(state, config, tmp_path / "mine")
    exact = load_model(str(tmp_path / "mine"))
    assert exact.config.fusion.masked
    assert exact.weights_sha256 == imported.weights_sha256
    assert exact.model_id != imported.model_id


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-16", "ViT-L-14"])
def test_the_released_architectures_are_read_from_the_shapes(name):
    state = meta_state(name)
    config = infer_config(state, "file")
    known = open_clip.get_model_config(name)
    assert config.clip["embed_dim"] == known["embed_dim"]
    for part in ("vision_cfg", "text_cfg"):
        assert config.clip[part] == {key: known[part][key] for key in config.clip[part]}
    assert (config.num_frames, config.temporal_layers, config.text_length) == (12, 4, 32)
    with torch.device("meta"):
        ours = EercfModel(config, "file").state_dict()
    assert {key: t.shape for key, t in translate(state, config, "file").items()} == {
        k: t.shape for k, t in ours.items()
    }


def changed(state, drop=(), **add):
    return {name: tensor for name, tensor in state.items() if name not in drop} | add


@pytest.mark.parametrize(
    ("drop", "add", "says"),
    [
        (("global_mat_weight",), {}, "missing global_mat_weight"),
        (("clip.transformer.resblocks.0.ln_1.bias",), {}, r"missing clip\.transformer\.resblocks\.0\.ln_1\.bias$"),
        ((), {"word_logit_weight": torch.eye(32)}, "unknown word_logit_weight$"),
        ((), {f"extra_{i}": torch.zeros(1) for i in range(5)}, r"unknown extra_0; .*extra_2; and 2 more$"),
        ((), {"global_mat_weight": torch.eye(63)}, r"global_mat_weight is \(63, 63\), not \(64, 64\)"),
        ((), {"frame_logit_weight": torch.zeros(5)}, r"frame_logit_weight is \(5,\), not of 2 dimensions"),
        ((), {"frame_logit_weight": torch.eye(80)}, r"frame_position_embeddings\.weight is \(77, 64\), not \(80, 64\)"),
        ((), {"global_mat_weight": torch.full((64, 64), float("nan"))}, "global_mat_weight holds values that are not"),
        ((), {"clip.visual.positional_embedding": torch.zeros(16, 128)}, "15 patches a frame are no square"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(checkpoint, tmp_path, drop, add, says):
    torch.save(changed(checkpoint[1], drop, **add), tmp_path / "model.bin")
    with pytest.raises(UnknownModelError, match=says) as error:
        read_public(tmp_path / "model.bin")
    assert "\n" not in str(error.value)


def test_facts_of_openai_beside_the_weights_are_left_out(checkpoint):
    state = changed(
        checkpoint[1], **{"clip.input_resolution": torch.tensor(32), "clip.vocab_size": torch.tensor(49408)}
    )
    assert "clip.vocab_size" not in translate(state, infer_config(state, "file"), "file")
