"""The model that a run starts from."""

from typing import Any

import torch
from pydantic import ValidationError

from models.config import ModelConfig
from models.eercf import EercfModel
from models.losses import Gating
from models.registry import load_model
from models.vocabulary import pieces_of, vocabulary_rows
from pipeline.synthetic.timeline import NUM_SLOTS
from pipeline.training.freeze import freeze
from pipeline.training.source import vocabulary_captions
from schemas.errors import ConfigError
from schemas.scoring import Profile
from schemas.training import TrainConfig


def starting_model(config: TrainConfig) -> EercfModel:
    """Weights of `config.model`, or drawn from the seed for `config.architecture`; in training, `freeze` done.

    Raises:
        ConfigError: the architecture is no model's config, `freeze` names no parameter of it, or the data cannot have
            as many frames as it takes.
        UnknownModelError: no such model, or the architecture cannot be built.
    """
    model = load_model(config.model) if config.model is not None else _drawn(config)
    if config.profile is not None:
        model.config = model.config.with_profile(config.profile)
    frames = model.config.num_frames
    if config.data.startswith("synthetic:") and frames != NUM_SLOTS:
        raise ConfigError(f"synthetic clips have {NUM_SLOTS} frames, the model takes {frames}: train it on a folder")
    freeze(model, config.freeze)
    return model.train()


def gating_of(config: TrainConfig, profile: Profile) -> Gating:
    """How texts gate clips in this run: as the settings say, else as the model's profile does.

    >>> config = TrainConfig(data="synthetic:1", out="run", model="random-tiny")
    >>> gating_of(config, "exact"), gating_of(config, "reference")
    ('pairwise', 'paired')
    """
    return config.gating or ("paired" if profile == "reference" else "pairwise")


def _drawn(config: TrainConfig) -> EercfModel:
    values = dict(config.architecture or {})
    if config.vocabulary_captions:
        values |= _cut_vocabulary(values, config)
    try:
        architecture = ModelConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"setting 'architecture.{where}' = {first['input']!r}: {first['msg']}") from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return EercfModel(architecture, "trained")


def _cut_vocabulary(values: dict[str, Any], config: TrainConfig) -> dict[str, Any]:
    pieces = pieces_of(vocabulary_captions(config))
    clip = dict(values.get("clip", {}))
    clip["text_cfg"] = {**clip.get("text_cfg", {}), "vocab_size": vocabulary_rows(pieces)}
    return {"clip": clip, "vocabulary": pieces}
