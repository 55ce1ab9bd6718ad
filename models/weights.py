"""Weights at rest: safetensors beside a config.json, and the hash that identifies them."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.config import ModelConfig
from schemas.errors import StorageError, UnknownModelError, UsageError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_NAMED = 3


def weights_sha256(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of a module's state, in name order.

    >>> weights_sha256(nn.LayerNorm(2))[:12]
    'ea86495d8391'
    """
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
    tell_problems(fit_problems(module.state_dict(), state), f"weights {path} do not fit the architecture")
    module.load_state_dict(state)


def fit_problems(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """What keeps tensors from being loaded: names that are missing or unknown, and shapes.

    >>> fit_problems({"a": torch.zeros(2), "b": torch.zeros(1)}, {"a": torch.zeros(3), "c": torch.zeros(1)})
    ['missing b', 'unknown c', 'a is (3,), not (2,)']
    """
    problems = [f"missing {name}" for name in sorted(set(wanted) - set(found))]
    problems += [f"unknown {name}" for name in sorted(set(found) - set(wanted))]
    return problems + [
        f"{name} is {tuple(found[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in sorted(set(wanted) & set(found))
        if wanted[name].shape != found[name].shape
    ]


def tell_problems(problems: Sequence[str], what: str) -> None:
    """Nothing, where there are none.

    Raises:
        UnknownModelError: the first problems of each kind, and how many more there are.
    """
    if not problems:
        return
    kinds: dict[str, list[str]] = {}
    for problem in problems:
        kind = problem.split()[0]
        kinds.setdefault(kind if kind in {"missing", "unknown"} else "", []).append(problem)
    told = [problem for group in kinds.values() for problem in group[:_NAMED]]
    more = f"; and {len(problems) - len(told)} more" if len(problems) > len(told) else ""
    raise UnknownModelError(f"{what}: {'; '.join(told)}{more}")


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
    _write_files(state, config, folder)


def new_bundle(state: Mapping[str, Tensor], config: ModelConfig, folder: Path) -> None:
    """Write a bundle that is there whole or not at all.

    Args:
        state: tensors by the model's names, of any float type.
        config: the architecture.
        folder: new, or empty.

    Raises:
        UsageError: the folder holds something.
        StorageError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already: name a new folder, or remove it first")
    part = folder.absolute().parent / f".{folder.name}.part-{os.getpid()}"
    try:
        part.mkdir(parents=True)
        _write_files(state, config, part)
        part.replace(folder)
    except (OSError, SafetensorError) as error:
        raise StorageError(f"cannot write the bundle {folder}: {error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_files(state: Mapping[str, Tensor], config: ModelConfig, folder: Path) -> None:
    save_file(dict(state), folder / WEIGHTS_FILE)
    values = config.model_copy(update={"seed": None}).model_dump(exclude_none=True)
    (folder / CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
