"""Weights at rest: safetensors beside a config.json, and the hash that identifies them."""

import hashlib
import json
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.config import ModelConfig
from schemas.errors import UnknownModelError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_NAMED = 3


def weights_sha256(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of a module's state, in name order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_config(folder: Path) -> ModelConfig:
    """config.json of a bundle.

    Raises:
        UnknownModelError: missing, or not a model's config.
    """
    path = folder / CONFIG_FILE
    try:
        return ModelConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UnknownModelError(f"{folder} is no model folder: {CONFIG_FILE}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UnknownModelError(f"{path}: {where}: {first['msg']}") from None


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a module's whole state from safetensors.

    Raises:
        UnknownModelError: unreadable, or tensors missing, unknown or of another shape; the first ones are named.
    """
    try:
        state: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UnknownModelError(f"cannot read weights {path}: {error}") from None
    wanted = module.state_dict()
    problems = [f"missing {name}" for name in sorted(set(wanted) - set(state))]
    problems += [f"unknown {name}" for name in sorted(set(state) - set(wanted))]
    problems += [
        f"{name} is {tuple(state[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in sorted(set(wanted) & set(state))
        if wanted[name].shape != state[name].shape
    ]
    if problems:
        more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise UnknownModelError(f"weights {path} do not fit the architecture: {'; '.join(problems[:_NAMED])}{more}")
    module.load_state_dict(state)


def save_bundle(module: nn.Module, config: ModelConfig, folder: Path, *, half: bool = False) -> None:
    """Write config.json and model.safetensors, so that the folder's path is a model's name.

    Args:
        module: the model whose state is stored, in its own dtype.
        config: its architecture; a seed is dropped, since the weights now stand in a file.
        folder: made if missing.
        half: store float32 as float16; loading widens it again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    if half:
        state = {name: t.half() if t.dtype == torch.float32 else t for name, t in state.items()}
    save_file(state, folder / WEIGHTS_FILE)
    values = config.model_copy(update={"seed": None}).model_dump(exclude_none=True)
    (folder / CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
