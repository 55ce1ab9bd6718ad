"""Tensors out of a TorchScript archive, the form in which OpenAI published CLIP, without running the program in it.

torch.load(weights_only=True) refuses such archives, and torch.jit.load runs parts of them. The tensors themselves are a
pickle of plain objects beside raw storages, and are read as such here: no class of the archive is ever made.
"""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from schemas.errors import UnknownModelError

_DTYPES: Final = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


class _Module:
    """Stands for any class of the archive: it holds what the pickle sets, and does nothing."""


class _Tensors(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self._archive, self._root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Module
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if module == "torch.jit._pickle":
            return _plain_list
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, *_ = pid
        data = bytearray(self._archive.read(f"{self._root}/data/{key}"))
        return torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)


def _rebuild(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
    return storage.as_strided(size, stride, offset).clone()


def _plain_list(values: list[Any]) -> list[Any]:
    return values


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, by the parts that torch looks for itself."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """All tensors of an archive, by the names of its modules.

    Raises:
        UnknownModelError: it holds other things than modules and tensors, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = next(name for name in archive.namelist() if name.endswith("/constants.pkl")).split("/")[0]
            return tensors_of(_Tensors(archive, root).load())
    except Exception as error:  # noqa: BLE001
        # A pickle that was tampered with can raise anything; none of it may end as a traceback.
        raise UnknownModelError(f"{path} holds no readable TorchScript weights: {error or type(error)}") from None


def tensors_of(module: object, prefix: str = "") -> dict[str, Tensor]:
    """Tensors of nested modules by dotted names.

    >>> root, child = _Module(), _Module()
    >>> child.weight, root.visual, root.scale = torch.zeros(2), child, torch.zeros(())
    >>> sorted(tensors_of(root))
    ['scale', 'visual.weight']
    """
    found: dict[str, Tensor] = {}
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            found[prefix + name] = value
        elif isinstance(value, _Module):
            found |= tensors_of(value, f"{prefix}{name}.")
    return found
