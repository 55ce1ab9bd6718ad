"""From a name or a path to a loaded model.

NAME                  a bundle shipped in models/bundles, for example random-tiny
FOLDER                a bundle of your own: config.json and model.safetensors
ARCH/TAG              an open_clip architecture with a pretrained tag, for example ViT-B-32/openai
ARCH@FILE             an open_clip architecture with CLIP weights from a local file
"""

import hashlib
import json
import threading
from pathlib import Path

import torch

from models.eercf import EercfModel
from models.open_clip_models import load_open_clip
from models.weights import CONFIG_FILE, WEIGHTS_FILE, load_weights, read_config, weights_sha256
from schemas.errors import UnknownModelError

BUNDLES = Path(__file__).parent / "bundles"
# Real architectures with weights drawn from a seed: for tests, and for proving a cluster before weights are there.
UNTRAINED = frozenset({"random-tiny"})
# Weights from a seed are drawn from the generator of the whole process: two loads at once would share its numbers.
_drawing = threading.Lock()


def shipped_models() -> list[str]:
    """Names of the bundles in this checkout."""
    return sorted(path.parent.name for path in BUNDLES.glob(f"*/{CONFIG_FILE}"))


def canonical_model(name_or_path: str) -> str:
    """The name to store: a bundle folder becomes its absolute path, so that it holds in other directories.

    >>> canonical_model("random-tiny"), canonical_model("ViT-B-32/openai"), canonical_model("ViT-B-32@/w.pt")
    ('random-tiny', 'ViT-B-32/openai', 'ViT-B-32@/w.pt')
    """
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
        model = _load_named(name_or_path)
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
    with _drawing, torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed or 0)
        model = EercfModel(config, folder.resolve().name)
    if config.seed is None:
        load_weights(model, folder / WEIGHTS_FILE)
    return model


def _load_named(name: str) -> EercfModel:
    model = load_open_clip(name)
    if model is None:
        shipped = ", ".join(shipped_models())
        raise UnknownModelError(f"no model {name!r}: use one of {shipped}, a model folder, ARCH/TAG or ARCH@FILE")
    return model
