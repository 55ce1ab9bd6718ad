"""ARCH/TAG and ARCH@FILE: a pretrained ViT of open_clip, with a temporal transformer made of its text tower."""

import copy
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

from models.config import OPENAI_MEAN, OPENAI_STD, ModelConfig, Preprocess
from models.eercf import EercfModel
from models.torchscript import is_torchscript, read_torchscript
from models.towers import refuse_foreign
from models.weights import fit_problems, tell_problems
from schemas.errors import UnknownModelError

# OpenAI's archives carry these beside the weights; nobody else's do.
_OPENAI_FACTS = frozenset({"input_resolution", "context_length", "vocab_size"})


def load_open_clip(name: str) -> EercfModel | None:
    """The model of such a name; None where open_clip knows no such architecture.

    OpenAI's weights get QuickGELU whatever the architecture's name says: by their tag, and as a file where it is the
    archive that OpenAI published. In another format they need a name such as ViT-B-32-quickgelu@FILE.

    Args:
        name: ARCH/TAG or ARCH@FILE.

    Raises:
        UnknownModelError: no plain ViT, an unknown tag, or weights that cannot be fetched or do not fit.
    """
    arch, at, file = name.partition("@")
    tag = ""
    if not at:
        arch, _, tag = name.partition("/")
    architecture = open_clip.get_model_config(arch) if arch in open_clip.list_models() else None
    if architecture is None:
        return None
    architecture = copy.deepcopy(architecture)
    label = f"{arch}-{tag or 'file'}"
    refuse_foreign(architecture, label)
    pretrained = _pretrained(arch, tag, name) if not at else {}
    path = Path(file) if at else _download(pretrained, name)
    if not path.is_file():
        raise UnknownModelError(f"model {name!r}: no file {path}")
    archived = read_torchscript(path) if is_torchscript(path) else None
    if pretrained.get("quick_gelu") or (archived and archived.keys() >= _OPENAI_FACTS):
        # OpenAI's weights were trained with QuickGELU; GELU would move every vector silently.
        architecture["quick_gelu"] = True
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = EercfModel(ModelConfig(clip=architecture, preprocess=_preprocess(architecture, pretrained)), label)
    if archived is None:
        _load_checkpoint(model, path, name)
    else:
        _load_archived(model, archived, f"model {name!r}: {path} does not hold its weights")
    model.start_temporal_from_text()
    return model


def _preprocess(architecture: dict[str, Any], pretrained: dict[str, Any]) -> Preprocess:
    size = architecture["vision_cfg"].get("image_size", 224)
    return Preprocess(
        image_size=size if isinstance(size, int) else size[0],
        mean=pretrained.get("mean") or OPENAI_MEAN,
        std=pretrained.get("std") or OPENAI_STD,
        interpolation=pretrained.get("interpolation") or "bicubic",
    )


def _pretrained(arch: str, tag: str, name: str) -> dict[str, Any]:
    tags = open_clip.list_pretrained_tags_by_model(arch)
    if tag not in tags:
        known = ", ".join(tags) or "none"
        raise UnknownModelError(f"model {name!r}: {arch} has no pretrained tag {tag!r}; it has {known}")
    pretrained = dict(open_clip.get_pretrained_cfg(arch, tag))
    resize = pretrained.get("resize_mode", "shortest")
    if resize != "shortest":
        raise UnknownModelError(
            f"model {name!r} was trained on pictures resized by {resize!r}; frames here keep their proportions, so use "
            "another, for example ViT-B-32/openai"
        )
    return pretrained


def _download(pretrained: dict[str, Any], name: str) -> Path:
    try:
        return Path(open_clip.download_pretrained(pretrained))
    except (OSError, RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise UnknownModelError(f"model {name!r}: its weights cannot be fetched ({text}); use ARCH@FILE") from None


def _load_checkpoint(model: EercfModel, path: Path, name: str) -> None:
    try:
        open_clip.load_checkpoint(model.clip, str(path), strict=True, weights_only=True)
    except Exception as error:  # noqa: BLE001
        # torch, zipfile, pickle and safetensors each have their own class for "these are not weights".
        text = " ".join(str(error).split())[:200]
        raise UnknownModelError(f"model {name!r}: {path} does not hold its weights: {text}") from None


def _load_archived(model: EercfModel, archived: dict[str, Tensor], what: str) -> None:
    # The causal mask is made, not loaded.
    found = {k: v for k, v in archived.items() if k not in _OPENAI_FACTS and not k.endswith("attn_mask")}
    tell_problems(fit_problems(model.clip.state_dict(), found), what)
    model.clip.load_state_dict(found)
