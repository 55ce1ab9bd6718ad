"""A state dict out of a file of somebody else, without ever running code from it."""

import re
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from schemas.errors import UnknownModelError

_WRAPPED = ("state_dict", "model_state_dict")
_DDP_PREFIX = "module."
_ASKED = re.compile(r"GLOBAL (\S+)")


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors by name; the prefix of DistributedDataParallel is taken off.

    Args:
        path: safetensors, or what torch.save wrote of a state dict; read with weights_only=True.

    Raises:
        UnknownModelError: unreadable, more than tensors, or something else than a state dict.
    """
    found = _load(path)
    for key in _WRAPPED:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found:
        raise UnknownModelError(f"{path} holds no state dict but a {type(found).__name__}: give the model's own file")
    strange = [str(name) for name, value in found.items() if not isinstance(value, Tensor) or not isinstance(name, str)]
    if strange:
        raise UnknownModelError(f"{path} holds no state dict: {strange[0]!r} is no tensor; give the model's own file")
    return strip_prefix(found)


def strip_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without "module.", where all have it.

    >>> list(strip_prefix({"module.a": torch.zeros(1), "module.b": torch.zeros(1)}))
    ['a', 'b']
    """
    if not all(name.startswith(_DDP_PREFIX) for name in state):
        return state
    return {name.removeprefix(_DDP_PREFIX): tensor for name, tensor in state.items()}


def _load(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UnknownModelError(f"cannot read {path}: {error.strerror or error}") from None
    except UnpicklingError as error:
        asked = _ASKED.search(str(error))
        what = f"asks for {asked[1]}" if asked else "is no plain pickle"
        raise UnknownModelError(
            f"{path} {what}, and a checkpoint's code is never run: save its state dict alone, with torch.save"
        ) from None
    except (RuntimeError, EOFError, KeyError, ValueError, AttributeError, IndexError, SafetensorError) as error:
        # What torch and safetensors raise for bytes that are no checkpoint, or half of one.
        if "TorchScript" in str(error):
            raise UnknownModelError(f"{path} is a TorchScript program, not weights: save its state dict") from None
        raise UnknownModelError(f"{path} is no file of torch.save or safetensors, or it is cut off") from None
