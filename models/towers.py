"""Image and text tower of an open_clip ViT, with all patch tokens behind ln_post and the projection.

open_clip's own `forward` projects the class token only; EERCF needs both kinds in the joint space (eercf "Encoders").
"""

from collections.abc import Mapping
from typing import Any

import open_clip
import torch
from torch import Tensor

from models.config import Preprocess
from models.stem import ConvStem
from schemas.errors import UnknownModelError

_KNOWN = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "init_logit_scale"}
# Settings of open_clip that change what a tower computes, and the one value that `image_tokens` is written for.
_PLAIN_VISION = {
    "timm_model_name": None,
    "pool_type": "tok",
    "attentional_pool": False,
    "final_ln_after_pool": False,
}
# The same for `text_tokens` and the tokenizer.
_PLAIN_TEXT = {
    "hf_model_name": None,
    "hf_tokenizer_name": None,
    "tokenizer_mode": None,
    "tokenizer_kwargs": None,
    "pool_type": "argmax",
    "proj_type": "linear",
    "proj_bias": False,
    "embed_cls": False,
    "no_causal_mask": False,
    "final_ln_after_pool": False,
}


def build_clip(architecture: dict[str, Any], label: str, conv_stem: tuple[int, ...] | None = None) -> open_clip.CLIP:
    """An open_clip CLIP with initial weights.

    Args:
        architecture: embed_dim, vision_cfg, text_cfg and optionally quick_gelu, as in open_clip's model configs.
        label: how to call the model in an error.
        conv_stem: channels of the convolutions that replace the patch embedding, or None.

    Raises:
        UnknownModelError: no plain ViT with CLIP's text tower, or sizes that do not go together.
    """
    refuse_foreign(architecture, label)
    try:
        clip = open_clip.CLIP(**architecture)
    except (TypeError, AssertionError, KeyError) as error:
        raise UnknownModelError(f"{label}: open_clip refuses this architecture: {error}") from None
    if conv_stem is not None:
        clip.visual.conv1 = ConvStem(conv_stem, clip.visual.conv1.out_channels, clip.visual.patch_size[0], label)
    return clip


def refuse_foreign(architecture: Mapping[str, Any], label: str) -> None:
    """Raise where `foreign_part` finds something, before anything large is built.

    Raises:
        UnknownModelError: with what it found.
    """
    problem = foreign_part(architecture)
    if problem:
        raise UnknownModelError(f"{label}: not a plain CLIP ViT ({problem}); use for example ViT-B-32/openai")


def foreign_part(architecture: Mapping[str, Any]) -> str:
    """What of an architecture our towers would compute otherwise than open_clip does; "" where there is nothing.

    EERCF needs a class token and patch tokens that go through ln_post and a projection one by one; a text is read by
    CLIP's own tokenizer, causally, and pooled at its end token.

    >>> foreign_part({"embed_dim": 512, "vision_cfg": {"layers": 12}, "text_cfg": {"width": 512}})
    ''
    >>> foreign_part({"embed_dim": 512, "vision_cfg": {"pool_type": "avg"}, "text_cfg": {}})
    'vision_cfg.pool_type is avg'
    """
    foreign = sorted(set(architecture) - _KNOWN)
    if foreign:
        return f"{foreign[0]} is {architecture[foreign[0]]}"
    for part, plain in (("vision_cfg", _PLAIN_VISION), ("text_cfg", _PLAIN_TEXT)):
        given = architecture.get(part, {})
        for name, usual in plain.items():
            if given.get(name, usual) != usual:
                return f"{part}.{name} is {given[name]}"
    layers = architecture.get("vision_cfg", {}).get("layers", 1)
    return "" if isinstance(layers, int) else "vision_cfg is a ResNet"


def image_tokens(visual: Any, pixels_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Frame token f (class token) and patch tokens p, both behind ln_post and the projection, not normalised.

    Args:
        visual: open_clip's VisionTransformer.
        pixels_NCHW: normalised pictures.

    Returns:
        frame_ND and patches_NPD.

    >>> vision = {"image_size": 8, "patch_size": 4, "width": 16, "head_width": 8, "layers": 1}
    >>> text = {"context_length": 4, "vocab_size": 9, "width": 16, "heads": 2, "layers": 1}
    >>> clip = build_clip({"embed_dim": 6, "vision_cfg": vision, "text_cfg": text}, "tiny")
    >>> [tuple(tokens.shape) for tokens in image_tokens(clip.visual, torch.zeros(3, 3, 8, 8))]
    [(3, 6), (3, 4, 6)]
    """
    x_NLW = visual.transformer(visual._embeds(pixels_NCHW))
    tokens_NLD = visual.ln_post(x_NLW) @ visual.proj
    return tokens_NLD[:, 0], tokens_NLD[:, 1:]


def text_tokens(clip: open_clip.CLIP, tokens_TL: Tensor) -> Tensor:
    """The hidden state at the end-of-text token behind ln_final and text_projection, T x D, not normalised.

    The same as open_clip's `encode_text`, but for any L up to the context length: attention is causal, so the
    padding behind the end token changes nothing and need not be computed.

    Args:
        clip: the model.
        tokens_TL: ids, padded with 0; the end token has the largest.

    >>> vision = {"image_size": 8, "patch_size": 4, "width": 16, "head_width": 8, "layers": 1}
    >>> text = {"context_length": 4, "vocab_size": 9, "width": 16, "heads": 2, "layers": 1}
    >>> clip = build_clip({"embed_dim": 6, "vision_cfg": vision, "text_cfg": text}, "tiny")
    >>> short, padded = torch.tensor([[7, 1, 8]]), torch.tensor([[7, 1, 8, 0]])
    >>> torch.allclose(text_tokens(clip, short), text_tokens(clip, padded), atol=1e-6)
    True
    """
    length = tokens_TL.shape[1]
    x_TLW = clip.token_embedding(tokens_TL) + clip.positional_embedding[:length]
    x_TLW = clip.transformer(x_TLW, attn_mask=clip.attn_mask[:length, :length])
    ends_T = tokens_TL.argmax(-1)
    hidden_TW = clip.ln_final(x_TLW[torch.arange(len(x_TLW), device=x_TLW.device), ends_T])
    text_TD: Tensor = hidden_TW @ clip.text_projection
    return text_TD


def normalize_pixels(frames_NHWC: Tensor, preprocess: Preprocess) -> Tensor:
    """uint8 pictures of the right size to the tower's input, N x C x H x W float32.

    >>> plain = Preprocess(image_size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> normalize_pixels(torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3), plain).flatten().tolist()
    [-1.0, -0.6000000238418579, 1.0]
    """
    scale_C = torch.tensor(preprocess.std, device=frames_NHWC.device) * 255.0
    shift_C = torch.tensor(preprocess.mean, device=frames_NHWC.device) / torch.tensor(
        preprocess.std, device=frames_NHWC.device
    )
    return (frames_NHWC.float() / scale_C - shift_C).permute(0, 3, 1, 2).contiguous()
