import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from models.config import ModelConfig, Preprocess
from models.eercf import EercfModel
from models.registry import load_model
from models.towers import image_tokens, normalize_pixels
from tests.models.eercf_oracle import temporal, unit

SMALL = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 4},
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    config = ModelConfig(clip=SMALL, num_frames=6, preprocess=Preprocess(image_size=32))
    made = EercfModel(config, "small").eval().requires_grad_(False)
    made.coarse_mix_DD += 0.05 * torch.randn(64, 64)
    return made


def frames(batch=3, count=6, size=32):
    return torch.randint(0, 256, (batch, count, size, size, 3), dtype=torch.uint8)


def test_frame_token_is_open_clips_own_image_embedding(model):
    pixels = normalize_pixels(frames()[0], model.config.preprocess)
    frame, patches = image_tokens(model.clip.visual, pixels)
    torch.testing.assert_close(frame, model.clip.encode_image(pixels), atol=1e-5, rtol=1e-5)
    assert patches.shape == (6, 16, 64)


def test_patch_tokens_go_through_ln_post_and_projection(model):
    visual = model.clip.visual
    pixels = normalize_pixels(frames()[0], model.config.preprocess)
    hidden = visual.transformer(visual._embeds(pixels))[:, 1:].double()
    normed = (hidden - hidden.mean(-1, keepdim=True)) / (hidden.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    expected = (normed * visual.ln_post.weight + visual.ln_post.bias) @ visual.proj.double()
    torch.testing.assert_close(image_tokens(visual, pixels)[1].double(), expected, atol=1e-5, rtol=1e-4)


def test_pixels_are_what_open_clips_transform_gives(model):
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    transform = open_clip.transform.image_transform(32, is_train=False)
    expected = transform(Image.fromarray(picture))
    got = normalize_pixels(torch.from_numpy(picture)[None], Preprocess(image_size=32))[0]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_coarse_vector_equals_the_formula_in_float64(model):
    pictures, mask = frames(batch=2), torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]], dtype=torch.uint8)
    tokens = model.encode_clips(pictures, mask)
    for clip in range(2):
        raw = np.zeros((6, 64))
        real = mask[clip].bool()
        pixels = normalize_pixels(pictures[clip][real], model.config.preprocess)
        raw[real.numpy()] = model.clip.encode_image(pixels).double().numpy()
        hidden = temporal(model, raw, mask[clip].double().numpy())
        values = np.array([unit(hidden[f]) for f in range(6) if mask[clip, f]])
        np.testing.assert_allclose(tokens.temporal_BFD[clip][real].numpy(), values, atol=2e-5)
        np.testing.assert_allclose(tokens.coarse_BD[clip].numpy(), unit(values.mean(0)), atol=2e-5)


def test_a_padded_clip_is_encoded_as_if_its_padding_were_not_there(model):
    pictures, mask = frames(batch=1), torch.tensor([[1, 1, 1, 0, 0, 0]], dtype=torch.uint8)
    other = pictures.clone()
    other[0, 3:] = 255
    torch.testing.assert_close(model.encode_clips(pictures, mask), model.encode_clips(other, mask))


def test_batching_of_frames_changes_nothing(model):
    pictures, mask = frames(), torch.ones(3, 6, dtype=torch.uint8)
    a, b = model.encode_clips(pictures, mask, batch_frames=5), model.encode_clips(pictures, mask, batch_frames=64)
    torch.testing.assert_close(a.coarse_BD, b.coarse_BD, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(a.patches_BFPD, b.patches_BFPD, atol=1e-5, rtol=1e-5)


def test_folded_query_gives_the_video_score(model):
    text = model.encode_text(["a red star", "two blue rings"])
    tokens = model.encode_clips(frames(), torch.ones(3, 6, dtype=torch.uint8))
    expected = text @ model.coarse_mix_DD @ tokens.coarse_BD.T
    torch.testing.assert_close(model.fold_query(text) @ tokens.coarse_BD.T, expected)
    torch.testing.assert_close(text.norm(dim=-1), torch.ones(2))


def test_temporal_transformer_starts_as_the_text_towers_first_layers(model):
    for block, source in zip(model.temporal.resblocks, model.clip.transformer.resblocks, strict=False):
        assert torch.equal(block.attn.in_proj_weight, source.attn.in_proj_weight)
        assert torch.equal(block.mlp.c_fc.weight, source.mlp.c_fc.weight)
    assert torch.equal(model.frame_positions_FD, model.clip.positional_embedding[:6])


def test_shipped_model_is_the_same_every_time():
    assert load_model("random-tiny").model_id == load_model("random-tiny").model_id
