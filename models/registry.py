"""From a name or a path to a loaded model.

NAME                  a bundle shipped in models/bundles, for example random-tiny
FOLDER                a bundle of your own: config.json and model.safetensors
ARCH/TAG              an open_clip architecture with a pretrained tag, for example ViT-B-32/openai
ARCH@FILE             an open_clip architecture with CLIP weights from a local file
"""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import open_clip
import torch

from models.config import OPENAI_MEAN, OPENAI_STD, ModelConfig, Preprocess
from models.eercf import EercfModel
from models.weights import CONFIG_FILE, WEIGHTS_FILE, load_weights, read_config, weights_sha256
from schemas.errors import UnknownModelError

BUNDLES = Path(__file__).parent / "bundles"
# Real architectures with weights drawn from a seed: for tests, and for proving a cluster before weights are there.
UNTRAINED = frozenset({"random-tiny"})


def shipped_models() -> list[str]:
    """Names of the bundles in this checkout."""
    return sorted(path.parent.name for path in BUNDLES.glob(f"*/{CONFIG_FILE}"))


def canonical_model(name_or_path: str) -> str:
    """The name to store: a bundle folder becomes its absolute path, so that it holds in other directories."""
    folder = Path(name_or_path)
    if name_or_path in shipped_models() or not folder.is_dir():
        arch, at, file = name_or_path.partition("@")
        return f"{arch}@{Path(file).absolute()}" if at else name_or_path
    return str(folder.absolute())


def load_model(name_or_path: str, device: str = "cpu") -> EercfModel:
    """Load a model for inference.

    Args:
        name_or_path: see the module's docstring.
        device: "cpu" or "cuda".

    Raises:
        UnknownModelError: nothing of that name, or its files do not hold an EERCF-capable model.
    """
    if name_or_path in shipped_models():
        model = _load_bundle(BUNDLES / name_or_path)
    elif Path(name_or_path).is_dir():
        model = _load_bundle(Path(name_or_path))
    else:
        model = _load_open_clip(name_or_path)
    model.eval().requires_grad_(False)
    model.weights_sha256 = weights_sha256(model)
    model.model_id = f"{model.name}-{_identity(model)}"
    return model.to(device)


def _identity(model: EercfModel) -> str:
    # Weights, architecture, preprocessing and sampler: any change of these changes the vectors.
    values = model.config.model_dump(exclude={"seed", "fusion"}, exclude_none=True)
    if model.config.profile == "exact":
        # Ids that were given before there were profiles stay what they are.
        del values["profile"]
    facts = json.dumps(values, sort_keys=True)
    return hashlib.sha256(f"{model.weights_sha256}|{facts}|uniform".encode()).hexdigest()[:12]


def _load_bundle(folder: Path) -> EercfModel:
    config = read_config(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed or 0)
        model = EercfModel(config, folder.resolve().name)
    if config.seed is None:
        load_weights(model, folder / WEIGHTS_FILE)
    return model


def _load_open_clip(name: str) -> EercfModel:
    arch, at, file = name.partition("@")
    tag = ""
    if not at:
        arch, _, tag = name.partition("/")
    architecture = open_clip.get_model_config(arch) if arch in open_clip.list_models() else None
    if architecture is None:
        shipped = ", ".join(shipped_models())
        raise UnknownModelError(f"no model {name!r}: use one of {shipped}, a model folder, ARCH/TAG or ARCH@FILE")
    architecture = copy.deepcopy(architecture)
    pretrained = _pretrained(arch, tag, name) if not at else {}
    if pretrained.get("quick_gelu"):
        # OpenAI's weights were trained with QuickGELU; GELU would move every vector silently.
        architecture["quick_gelu"] = True
    size = architecture["vision_cfg"].get("image_size", 224)
    preprocess = Preprocess(
        image_size=size if isinstance(size, int) else size[0],
        mean=pretrained.get("mean") or OPENAI_MEAN,
        std=pretrained.get("std") or OPENAI_STD,
        interpolation=pretrained.get("interpolation") or "bicubic",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = EercfModel(ModelConfig(clip=architecture, preprocess=preprocess), f"{arch}-{tag or 'file'}")
    _load_clip_weights(model, Path(file) if at else _download(pretrained, name), name)
    return model


def _pretrained(arch: str, tag: str, name: str) -> dict[str, Any]:
    tags = open_clip.list_pretrained_tags_by_model(arch)
    if tag not in tags:
        known = ", ".join(tags) or "none"
        raise UnknownModelError(f"model {name!r}: {arch} has no pretrained tag {tag!r}; it has {known}")
    return dict(open_clip.get_pretrained_cfg(arch, tag))


def _download(pretrained: dict[str, Any], name: str) -> Path:
    try:
        return Path(open_clip.download_pretrained(pretrained))
    except (OSError, RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise UnknownModelError(f"model {name!r}: its weights cannot be fetched ({text}); use ARCH@FILE") from None


def _load_clip_weights(model: EercfModel, path: Path, name: str) -> None:
    if not path.is_file():
        raise UnknownModelError(f"model {name!r}: no file {path}")
    try:
        open_clip.load_checkpoint(model.clip, str(path), strict=True, weights_only=True)
    except Exception as error:  # noqa: BLE001
        # torch, zipfile, pickle and safetensors each have their own class for "these are not weights".
        text = " ".join(str(error).split())[:200]
        raise UnknownModelError(f"model {name!r}: {path} does not hold its weights: {text}") from None
    model.start_temporal_from_text()
