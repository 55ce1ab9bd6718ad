import copy

import open_clip
import pytest
import torch

from models.towers import build_clip, foreign_part, image_tokens, text_tokens
from schemas.errors import UnknownModelError

# Every kind of plain ViT that open_clip names; the others of these families differ in depth and patch size.
PLAIN = ["ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-B-32-quickgelu", "ViT-M-16-alt", "ViT-S-32", "ViT-H-14"]


def config(name):
    return copy.deepcopy(open_clip.get_model_config(name))


def shallow(name):
    """A named architecture with one layer, small pictures and few words: its blocks, heads and widths are as named."""
    made = config(name)
    made["vision_cfg"] |= {"layers": 1, "image_size": 2 * made["vision_cfg"]["patch_size"]}
    made["text_cfg"] |= {"layers": 1, "vocab_size": 50}
    return made


@pytest.mark.parametrize("name", PLAIN)
def test_both_towers_give_open_clips_own_embeddings(name):
    torch.manual_seed(0)
    made = shallow(name)
    clip = build_clip(made, name).eval().requires_grad_(False)
    size = made["vision_cfg"]["image_size"]
    pixels = torch.randn(2, 3, size, size)
    frames, patches = image_tokens(clip.visual, pixels)
    torch.testing.assert_close(frames, clip.encode_image(pixels), atol=1e-5, rtol=1e-5)
    assert patches.shape == (2, 4, made["embed_dim"])
    tokens = torch.zeros(2, 77, dtype=torch.long)
    tokens[0, :4] = torch.tensor([48, 3, 5, 49])
    tokens[1, :6] = torch.tensor([48, 3, 3, 7, 9, 49])
    torch.testing.assert_close(text_tokens(clip, tokens[:, :6]), clip.encode_text(tokens), atol=1e-5, rtol=1e-5)


def test_every_architecture_of_open_clip_is_either_plain_or_refused_with_the_reason():
    names = open_clip.list_models()
    plain = {name for name in names if not foreign_part(config(name))}
    assert plain >= {*PLAIN, "ViT-L-14-336-quickgelu", "ViT-g-14", "ViT-bigG-14"}
    for name in plain:
        assert name.startswith("ViT-")
        assert config(name)["text_cfg"].get("vocab_size", 49408) == 49408
    for name in set(names) - plain:
        with pytest.raises(UnknownModelError, match="not a plain CLIP ViT") as error:
            build_clip(config(name), name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336"])
def test_patch_tokens_come_in_the_number_and_width_that_the_name_says(name):
    made = config(name)
    with torch.device("meta"):
        clip = build_clip(made, name)
        size, side = made["vision_cfg"]["image_size"], made["vision_cfg"]["patch_size"]
        frames, patches = image_tokens(clip.visual, torch.zeros(2, 3, size, size))
    assert frames.shape == (2, made["embed_dim"])
    assert patches.shape == (2, (size // side) ** 2, made["embed_dim"])


@pytest.mark.parametrize("name", ["ViT-B-32-SigLIP2-256", "EVA02-L-14", "ViT-H-14-CLIPA", "ViT-L-14-worldwide", "RN50"])
def test_towers_of_another_kind_are_refused(name):
    assert foreign_part(config(name))


def test_sizes_that_do_not_go_together_are_refused():
    made = config("ViT-B-32")
    made["vision_cfg"]["width"] = 770
    with pytest.raises(UnknownModelError, match="refuses this architecture"):
        build_clip(made, "odd")
