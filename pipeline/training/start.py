"""The model that a run starts from."""

from typing import Any

import torch
from pydantic import ValidationError

from models.config import ModelConfig
from models.eercf import EercfModel
from models.registry import load_model
from models.vocabulary import pieces_of, vocabulary_rows
from pipeline.training.freeze import freeze
from pipeline.training.source import vocabulary_captions
from schemas.errors import ConfigError
from schemas.training import TrainConfig


def starting_model(config: TrainConfig) -> EercfModel:
    """Weights of `config.model`, or drawn from the seed for `config.architecture`; in training, `freeze` done.

    Raises:
        ConfigError: the architecture is no model's config, or `freeze` names no parameter of it.
        UnknownModelError: no such model, or the architecture cannot be built.
    """
    model = load_model(config.model) if config.model is not None else _drawn(config)
    if config.profile is not None:
        model.config = model.config.with_profile(config.profile)
    freeze(model, config.freeze)
    return model.train()


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
