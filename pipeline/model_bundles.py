"""Model folders: made from foreign checkpoints, and described."""

from pathlib import Path

from models.eercf import EercfModel
from models.public_checkpoint import read_public
from models.registry import load_model
from models.weights import new_bundle
from schemas.model import ImportConfig, ModelSummary, ShowConfig

_PARTS = {
    "visual": "clip.visual.",
    "text": "clip.",
    "temporal": "temporal.",
    "positions": "frame_positions_FD",
    "G": "coarse_mix_DD",
    "A": "frame_mix_FF",
}
_FP16_BYTES = 2


def import_model(config: ImportConfig) -> ModelSummary:
    """Write the bundle and load it once.

    Raises:
        UnknownModelError: the file is no checkpoint of the public code; what is missing or unknown is named.
        UsageError: the folder holds something already.
        StorageError: the folder cannot be written.
    """
    architecture, state = read_public(Path(config.file), config.profile, config.words)
    new_bundle(state, architecture, Path(config.out))
    return show_model(ShowConfig(model=config.out))


def show_model(config: ShowConfig) -> ModelSummary:
    """What a model is made of.

    Raises:
        UnknownModelError: it cannot be loaded.
    """
    model = load_model(config.model)
    shape = model.token_shape
    values = model.config.model_dump(exclude_none=True)
    if "vocabulary" in values:
        values["vocabulary"] = f"{len(values['vocabulary'])} pieces"
    vectors = shape.frames * (2 + shape.patches)
    return ModelSummary(
        model=config.model,
        model_id=model.model_id,
        profile=model.config.profile,
        token_shape=shape,
        parameters=_count(model),
        bytes_per_clip=vectors * shape.dim * _FP16_BYTES,
        config=values,
    )


def _count(model: EercfModel) -> dict[str, int]:
    counts = dict.fromkeys(_PARTS, 0)
    for name, parameter in model.named_parameters():
        part = next(part for part, prefix in _PARTS.items() if name.startswith(prefix))
        counts[part] += parameter.numel()
    return counts
