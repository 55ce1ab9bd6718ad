"""Checkpoints of the public EERCF code (pytorch_model.bin.N): their names and shapes to a config and weights of ours.

Names and shapes after https://github.com/adxcreative/EERCF, modules/modeling_fineclip_patches_cdcl.py. Its matrices
have our orientation: t^T G g with `global_mat_weight`, softmax(a) A with `frame_logit_weight`.
"""

import re
from collections.abc import Mapping
from math import isqrt
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from models.checkpoint_file import read_state
from models.config import ModelConfig, Preprocess
from models.eercf import EercfModel
from models.weights import fit_problems, tell_problems
from schemas.errors import UnknownModelError
from schemas.scoring import Profile

PUBLIC_TEXT_LENGTH = 32  # --max_words of the released recipe
_POSITIONS = "frame_position_embeddings.weight"
_RENAMED = {
    "coarse_mix_DD": "global_mat_weight",
    "frame_mix_FF": "frame_logit_weight",
    "frame_positions_FD": _POSITIONS,
}
# Facts beside OpenAI's weights, which are no weights; the shapes say the same.
_FACTS = frozenset({"clip.input_resolution", "clip.context_length", "clip.vocab_size"})
_HEAD_WIDTH = 64
_PARTS = ("clip.", "transformerClip.")
# What the architecture is read from, and the dimensions of each.
_TELLING = {
    "clip.visual.conv1.weight": 4,
    "clip.visual.positional_embedding": 2,
    "clip.positional_embedding": 2,
    "clip.token_embedding.weight": 2,
    "clip.text_projection": 2,
    "transformerClip.resblocks.0.attn.in_proj_weight": 2,
    _POSITIONS: 2,
    "global_mat_weight": 2,
    "frame_logit_weight": 2,
}


def public_name(name: str) -> str:
    """The public code's name of one of our parameters.

    >>> public_name("temporal.resblocks.0.ln_1.weight"), public_name("coarse_mix_DD"), public_name("clip.visual.proj")
    ('transformerClip.resblocks.0.ln_1.weight', 'global_mat_weight', 'clip.visual.proj')
    """
    if name.startswith("temporal."):
        return "transformerClip." + name.removeprefix("temporal.")
    return _RENAMED.get(name, name)


def infer_config(
    state: Mapping[str, Tensor], label: str, profile: Profile = "reference", text_length: int = PUBLIC_TEXT_LENGTH
) -> ModelConfig:
    """The architecture that the shapes tell, as the public code reads it; OpenAI's activation and normalisation.

    Args:
        state: tensors by the public code's names; only shapes are looked at.
        label: how to call the file in an error.
        profile: see `ModelConfig`.
        text_length: see `ModelConfig`; no shape tells it.

    Raises:
        UnknownModelError: a tensor that tells the architecture is missing, or of an impossible shape.
    """
    problems = [f"missing {name}" for name in _TELLING if name not in state]
    problems += [
        f"{name} is {tuple(state[name].shape)}, not of {dims} dimensions"
        for name, dims in _TELLING.items()
        if name in state and state[name].ndim != dims
    ]
    if problems:
        # What else is wrong would otherwise show only after these were mended.
        problems += [f"unknown {name}" for name in state if not name.startswith(_PARTS) and name not in _TELLING]
    tell_problems(problems, f"{label} is no checkpoint of the public EERCF code")
    width, _, _, patch_size = state["clip.visual.conv1.weight"].shape
    patches = state["clip.visual.positional_embedding"].shape[0] - 1
    grid = isqrt(max(patches, 0))
    if grid * grid != patches or not patches:
        raise UnknownModelError(f"{label}: {patches} patches a frame are no square picture")
    context_length, text_width = state["clip.positional_embedding"].shape
    image_size = grid * patch_size
    clip = {
        "embed_dim": state["clip.text_projection"].shape[1],
        "vision_cfg": {
            "image_size": image_size,
            "layers": _layers(state, "clip.visual.transformer"),
            "width": width,
            "patch_size": patch_size,
        },
        "text_cfg": {
            "context_length": context_length,
            "vocab_size": state["clip.token_embedding.weight"].shape[0],
            "width": text_width,
            "heads": max(1, text_width // _HEAD_WIDTH),
            "layers": _layers(state, "clip.transformer"),
        },
        "quick_gelu": True,
    }
    try:
        return ModelConfig(
            clip=clip,
            num_frames=state["frame_logit_weight"].shape[0],
            temporal_layers=_layers(state, "transformerClip"),
            preprocess=Preprocess(image_size=image_size),
            profile=profile,
            text_length=text_length,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UnknownModelError(f"{label}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _layers(state: Mapping[str, Tensor], prefix: str) -> int:
    # The highest number, so that a block that is missing below it is named as missing.
    block = re.compile(re.escape(prefix) + r"\.resblocks\.(\d+)\.")
    numbers = [int(match[1]) for name in state if (match := block.match(name))]
    return max(numbers, default=-1) + 1


def translate(state: Mapping[str, Tensor], config: ModelConfig, label: str) -> dict[str, Tensor]:
    """Tensors by our names, in the types of the file: half precision stays half, and is widened when it is loaded.

    Args:
        state: tensors by the public code's names.
        config: of `infer_config`.
        label: how to call the file in an error.

    Raises:
        UnknownModelError: tensors are missing, unknown, of another shape or no numbers; the first ones are named.
    """
    with torch.device("meta"):
        ours = EercfModel(config, label).state_dict()
    wanted = {public_name(name): tensor for name, tensor in ours.items()}
    found = {name: tensor for name, tensor in state.items() if name not in _FACTS}
    rows = found[_POSITIONS].shape[0]
    if rows >= config.num_frames:
        # A table for up to 77 frames, of which the first F are used.
        found[_POSITIONS] = found[_POSITIONS][: config.num_frames]
    problems = fit_problems(wanted, found)
    problems += [f"{name} {wrong}" for name in sorted(found) if (wrong := _wrong_values(found[name]))]
    tell_problems(problems, f"{label} does not fit the public EERCF code")
    # Cloned, since safetensors refuses views that share memory.
    return {name: found[public_name(name)].clone(memory_format=torch.contiguous_format) for name in ours}


def _wrong_values(tensor: Tensor) -> str:
    if not tensor.is_floating_point():
        return f"is of type {str(tensor.dtype).removeprefix('torch.')}, not of a floating-point one"
    return "" if tensor.is_meta or bool(tensor.isfinite().all()) else "holds values that are not finite"


def read_public(
    path: Path, profile: Profile = "reference", text_length: int = PUBLIC_TEXT_LENGTH
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """A checkpoint as a bundle's config and tensors; see `read_state`, `infer_config` and `translate`.

    Raises:
        UnknownModelError: it is none, or does not fit.
    """
    state = read_state(path)
    config = infer_config(state, str(path), profile, text_length)
    return config, translate(state, config, str(path))
