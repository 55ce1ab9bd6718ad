"""A batch gives each text the vector that it has alone, and a broken version fails only its own texts."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.registry import load_model
from pipeline.query_encoding import encode_query
from pipeline.serving.limits.version_cache import VersionCache
from pipeline.serving.replicas import encoder as encoder_module
from pipeline.serving.replicas.encoder import TextEncoder
from pipeline.serving.replicas.gathering import Gathering
from schemas.errors import ReelsiftError, UnknownModelError


@pytest.fixture(scope="module")
def model():
    return load_model("random-tiny")


@pytest.fixture
def encoder(model):
    def load(version):
        if version == 2:
            raise UnknownModelError("version 2 needs a model that is not here")
        return model

    made = object.__new__(TextEncoder)  # its constructor is for a replica
    made._models = VersionCache(load, lambda _: None)
    with ThreadPoolExecutor(2) as made._pool:
        made._gathering = Gathering(made._pool, made._encode_batch, 1, 2, 16, everyones=ReelsiftError)
        yield made


def test_vectors_do_not_depend_on_the_batch(encoder, model):
    texts = ["a red star", "two blue boxes pass each other", "x", "a red star"]
    answers = encoder._encode_batch([(1, text) for text in texts])
    for text, answer in zip(texts, answers, strict=True):
        alone = encode_query(model, text)
        np.testing.assert_array_equal(answer.vectors.text_D, alone.text_D)
        np.testing.assert_array_equal(answer.vectors.query_D, alone.query_D)


def test_equal_texts_of_a_batch_are_encoded_once(encoder, monkeypatch):
    asked = []

    def counted(model, text):
        asked.append(text)
        return encode_query(model, text)

    monkeypatch.setattr(encoder_module, "encode_query", counted)
    encoder._encode_batch([(1, "a"), (1, "b"), (1, "a")])
    assert sorted(asked) == ["a", "b"]


def test_a_version_without_its_model_fails_alone(encoder):
    async def ask():
        requests = ((1, "a"), (2, "a"), (1, "b"), (2, "b"))
        return await asyncio.gather(*(encoder.encode(*request) for request in requests), return_exceptions=True)

    good, bad, also_good, also_bad = asyncio.run(ask())
    assert isinstance(bad, UnknownModelError)
    assert isinstance(also_bad, UnknownModelError)
    assert good.vectors.text_D.shape == also_good.vectors.text_D.shape == (128,)
