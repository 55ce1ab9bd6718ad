"""Deployment of both stages of a query: recall in Milvus, then the rerank beside the fine store.

They share a process because the candidates of the one are the input of the other: a hop between them would cost
more than the work. It also keeps Milvus Lite, which runs in Python inside the process that opened it first, away
from the event loop that serves HTTP.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from pipeline.both_stages import find
from pipeline.index.fine_store import FineStore
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import open_fine, read_manifest
from pipeline.ranking import EncodedQuery, choose_recall, ranked
from pipeline.recall import recall
from pipeline.rerank import warm_up
from pipeline.serving.messages import Answer, VersionKey
from pipeline.serving.version_cache import VersionCache
from pipeline.storage import Store
from schemas.manifest import VersionManifest
from schemas.recall import RecallMode

_T = TypeVar("_T")
# While some wait for Milvus, others read and score.
_THREADS = 8


@dataclass(frozen=True)
class Opened:
    """One version, open."""

    manifest: VersionManifest
    vectors: VectorStore
    fine: FineStore

    def close(self) -> None:
        """Close both stores."""
        self.fine.close()
        self.vectors.close()


class Reranker:
    """Recalls, reads and scores candidates.

    Args:
        index_uri: the index.
        score_threads: that share the scoring of one query.
    """

    def __init__(self, index_uri: str, score_threads: int = 1) -> None:
        torch.set_num_threads(1)
        self._index = Store(index_uri)
        self._score_threads = score_threads
        self._versions = VersionCache(self._open, Opened.close)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="rerank")

    def __del__(self) -> None:
        self._versions.close()

    async def warm(self, version: VersionKey) -> None:
        """Open the stores of a version, so that no query has to wait for it."""
        await self._in_thread(self._warm, version)

    async def check(self, version: VersionKey) -> None:
        """Prove that Milvus answers.

        Raises:
            VectorStoreError: it does not.
        """
        await self._in_thread(self._check, version)

    async def answer(
        self, version: VersionKey, encoded: EncodedQuery, k: int, recall_k: int, mode: RecallMode
    ) -> Answer:
        """The k best clips of one version for one text.

        Raises:
            IndexMissingError: the version is gone.
            IndexCorruptError: its files are not what its manifest says, or disagree with Milvus.
            VectorStoreError: Milvus is away.
        """
        return await self._in_thread(self._answer, version, encoded, k, recall_k, mode)

    async def _in_thread(self, work: Callable[..., _T], *args: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    def _answer(self, version: VersionKey, encoded: EncodedQuery, k: int, recall_k: int, mode: RecallMode) -> Answer:
        with self._versions.hold(version) as opened:
            # Ray hands arrays over read-only, and torch warns of each such one.
            query = EncodedQuery(np.array(encoded.text_D), np.array(encoded.query_D), encoded.expression)
            found, scored = find(
                opened.vectors, opened.fine, opened.manifest, query, mode, k, recall_k, self._score_threads
            )
        timings_ms = {**found.timings_ms, "read": scored.read_ms, "score": scored.score_ms}
        return Answer(ranked(found.hits, scored, k), timings_ms)

    def _warm(self, version: VersionKey) -> None:
        with self._versions.hold(version) as opened:
            # The first search makes Milvus load the collections.
            nothing_D = np.zeros(opened.manifest.token_shape.dim, np.float32)
            warm_up(opened.fine, opened.manifest.scoring, len(nothing_D))
            query, mode = EncodedQuery(nothing_D, nothing_D), choose_recall(None, opened.manifest)
            recall(opened.vectors, opened.manifest, query, mode, k=1, recall_k=1)

    def _check(self, version: VersionKey) -> None:
        with self._versions.hold(version) as opened:
            opened.vectors.resolve_alias(opened.manifest.alias)

    def _open(self, key: VersionKey) -> Opened:
        # A later revision than the one asked for may be there by now, and serves as well.
        manifest, fine = open_fine(self._index, read_manifest(self._index, key.version))
        try:
            return Opened(manifest, VectorStore.open(manifest.milvus, self._index.root), fine)
        except BaseException:
            fine.close()
            raise
