"""Deployment of the text tower."""

from pipeline.serving.replicas.gentle_imports import import_gently

import_gently("pipeline.query_encoding")

import asyncio
import contextlib
from typing import Any

import torch
from ray import serve

from models.eercf import EercfModel
from pipeline.index.versions import live_manifest, read_manifest
from pipeline.query_encoding import encode_query, load_version_model
from pipeline.ranking import EncodedQuery, elapsed_ms, now
from pipeline.serving.limits.version_cache import VersionCache
from pipeline.serving.messages import Encoded, EncodedBatch
from pipeline.serving.replicas.work_threads import work_threads
from pipeline.storage import Store
from schemas.errors import ReelsiftError

# One encodes, the other may load the model of a version about to go live.
_THREADS = 2


class TextEncoder:
    """Encodes texts with the model of a version.

    Requests that arrive together cross the process in one batch, and equal texts among them are encoded once. The
    texts themselves are encoded one by one: in a common matrix product the last bits of a vector depend on its
    neighbours, so that an answer would change with the load. On a CPU that costs little, since one text of 77
    tokens fills a matrix product already.

    Args:
        index_uri: the index, whose manifests name the models.
        max_batch: requests taken at once.
        wait_s: how long an incomplete batch waits for more.
    """

    def __init__(self, index_uri: str, max_batch: int, wait_s: float) -> None:
        torch.set_num_threads(1)
        self._index = Store(index_uri)
        self._models: VersionCache[int, EercfModel] = VersionCache(self._load, lambda _: None)
        self._pool = work_threads(_THREADS, "encode")
        batched: Any = self._batched
        batched.set_max_batch_size(max_batch)
        batched.set_batch_wait_timeout_s(wait_s)
        # A replica that comes in the place of one that died is asked as soon as it is there.
        with contextlib.suppress(ReelsiftError):
            self._encode_version(live_manifest(self._index).version, ["warm up"])

    async def warm(self, version: int) -> None:
        """Load the model of a version, so that no query has to wait for it."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._encode_version, version, ["warm up"])

    async def encode(self, version: int, query: str) -> Encoded:
        """Encode one text.

        Raises:
            UnknownModelError: the model of the version cannot be loaded.
            ModelMismatchError: it is not the model that built the version.
            IndexMissingError: the version is gone.
        """
        answer = await self._batched((version, query))
        if isinstance(answer, ReelsiftError):
            raise answer
        return answer

    async def encode_batch(self, version: int, queries: list[str]) -> EncodedBatch:
        """Encode many texts, in their order; may raise as for one."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._encode_many, version, queries)

    @serve.batch
    async def _batched(self, requests: list[tuple[int, str]]) -> list[Encoded | ReelsiftError]:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._encode_batch, requests)

    def _encode_batch(self, requests: list[tuple[int, str]]) -> list[Encoded | ReelsiftError]:
        start = now()
        encoded: dict[tuple[int, str], EncodedQuery | ReelsiftError] = {}
        for version in {version for version, _ in requests}:
            texts = list(dict.fromkeys(text for owner, text in requests if owner == version))
            try:
                queries = self._encode_version(version, texts)
            except ReelsiftError as error:
                # A version whose model is broken fails its own requests, not its neighbours in the batch.
                encoded.update(((version, text), error) for text in texts)
            else:
                encoded.update(((version, text), query) for text, query in zip(texts, queries, strict=True))
        spent_ms = elapsed_ms(start)
        answers = [encoded[request] for request in requests]
        return [
            answer if isinstance(answer, ReelsiftError) else Encoded(answer, spent_ms, len(requests))
            for answer in answers
        ]

    def _encode_many(self, version: int, queries: list[str]) -> EncodedBatch:
        start = now()
        texts = list(dict.fromkeys(queries))
        encoded = dict(zip(texts, self._encode_version(version, texts), strict=True))
        return EncodedBatch([encoded[query] for query in queries], elapsed_ms(start))

    def _encode_version(self, version: int, texts: list[str]) -> list[EncodedQuery]:
        with self._models.hold(version) as model:
            return [encode_query(model, text) for text in texts]

    def _load(self, version: int) -> EercfModel:
        return load_version_model(read_manifest(self._index, version))
