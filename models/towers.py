"""Image and text tower of an open_clip ViT, with all patch tokens behind ln_post and the projection.

open_clip's own `forward` projects the class token only; EERCF needs both kinds in the joint space (eercf "Encoders").
"""

from typing import Any

import open_clip
import torch
from torch import Tensor

from models.config import Preprocess
from models.stem import ConvStem
from schemas.errors import UnknownModelError


def build_clip(architecture: dict[str, Any], label: str, conv_stem: tuple[int, ...] | None = None) -> open_clip.CLIP:
    """An open_clip CLIP with initial weights.

    Args:
        architecture: embed_dim, vision_cfg, text_cfg and optionally quick_gelu, as in open_clip's model configs.
        label: how to call the model in an error.
        conv_stem: channels of the convolutions that replace the patch embedding, or None.

    Raises:
        UnknownModelError: the image tower is no plain ViT, so it has no patch tokens to project.
    """
    known = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
    text, vision = dict(architecture.get("text_cfg", {})), dict(architecture.get("vision_cfg", {}))
    foreign = sorted(set(architecture) - known - {"init_logit_scale"})
    if foreign or text.get("hf_model_name") or vision.get("timm_model_name"):
        raise UnknownModelError(f"{label}: not a plain CLIP of open_clip; use a ViT such as ViT-B-32/openai")
    try:
        clip = open_clip.CLIP(**architecture)
    except (TypeError, AssertionError, KeyError) as error:
        raise UnknownModelError(f"{label}: open_clip refuses this architecture: {error}") from None
    check_plain_vit(clip.visual, label)
    if conv_stem is not None:
        clip.visual.conv1 = ConvStem(conv_stem, clip.visual.conv1.out_channels, clip.visual.patch_size[0], label)
    return clip


def check_plain_vit(visual: Any, label: str) -> None:
    """Refuse towers whose tokens do not go through ln_post and proj one by one.

    Raises:
        UnknownModelError: a ResNet, an attention pool, or another pooling than the class token.
    """
    plain = isinstance(visual, open_clip.transformer.VisionTransformer)
    if not plain or visual.attn_pool is not None or visual.pool_type != "tok" or visual.proj is None:
        raise UnknownModelError(f"{label}: EERCF needs a plain ViT with a class token; use for example ViT-B-32/openai")


def image_tokens(visual: Any, pixels_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Frame token f (class token) and patch tokens p, both behind ln_post and the projection, not normalised.

    Args:
        visual: open_clip's VisionTransformer.
        pixels_NCHW: normalised pictures.

    Returns:
        frame_ND and patches_NPD.
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
    """
    length = tokens_TL.shape[1]
    x_TLW = clip.token_embedding(tokens_TL) + clip.positional_embedding[:length]
    x_TLW = clip.transformer(x_TLW, attn_mask=clip.attn_mask[:length, :length])
    ends_T = tokens_TL.argmax(-1)
    hidden_TW = clip.ln_final(x_TLW[torch.arange(len(x_TLW), device=x_TLW.device), ends_T])
    text_TD: Tensor = hidden_TW @ clip.text_projection
    return text_TD


def normalize_pixels(frames_NHWC: Tensor, preprocess: Preprocess) -> Tensor:
    """uint8 pictures of the right size to the tower's input, N x C x H x W float32."""
    scale_C = torch.tensor(preprocess.std, device=frames_NHWC.device) * 255.0
    shift_C = torch.tensor(preprocess.mean, device=frames_NHWC.device) / torch.tensor(
        preprocess.std, device=frames_NHWC.device
    )
    return (frames_NHWC.float() / scale_C - shift_C).permute(0, 3, 1, 2).contiguous()
