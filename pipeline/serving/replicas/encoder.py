"""Deployment of the text tower."""

from pipeline.serving.replicas.gentle_imports import import_gently

import_gently("pipeline.query_encoding")

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import torch

from models.eercf import EercfModel
from pipeline.index.versions import live_manifest, read_manifest
from pipeline.query_encoding import encode_query, load_version_model
from pipeline.ranking import EncodedQuery, elapsed_ms, now
from pipeline.serving.limits.version_cache import VersionCache
from pipeline.serving.messages import Encoded, EncodedBatch
from pipeline.serving.replicas.gathering import Gathering
from pipeline.serving.replicas.work_threads import work_threads
from pipeline.storage import Store
from schemas.errors import ReelsiftError

# One encodes, the other may load the model of a version about to go live.
_THREADS: Final = 2
_AT_ONCE: Final = 1


class TextEncoder:
    """Encodes texts with the model of a version.

    Requests that wait for it at the same time are done in one batch, and equal texts among them are encoded once. The
    texts themselves are encoded one by one: in a common matrix product the last bits of a vector depend on its
    neighbours, so that an answer would change with the load. On a CPU that costs little, since one text of 77
    tokens fills a matrix product already.

    Args:
        index_uri: the index, whose manifests name the models.
        max_batch: requests taken at once.
    """

    def __init__(self, index_uri: str, max_batch: int) -> None:
        torch.set_num_threads(1)
        self._index = Store(index_uri)
        self._models: VersionCache[int, EercfModel] = VersionCache(self._load, lambda _: None)
        self._pool = work_threads(_THREADS, "encode")
        self._gathering = Gathering(
            self._pool, self._encode_batch, _AT_ONCE, _THREADS, max_batch, everyones=ReelsiftError
        )
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
        return await self._gathering.ask(version, (version, query))

    async def encode_batch(self, version: int, queries: list[str]) -> EncodedBatch:
        """Encode many texts, in their order; may raise as for one."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._encode_many, version, queries)

    def _encode_batch(self, requests: Sequence[tuple[int, str]]) -> list[Encoded]:
        """Encode texts of requests for one version."""
        found = self._encode_many(requests[0][0], [text for _, text in requests])
        return [Encoded(query, found.encode_ms, len(requests)) for query in found.vectors]

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
