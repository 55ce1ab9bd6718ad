"""What asks Milvus: candidates of texts, clips like a clip, and what is known of one.

Milvus Lite, which runs in Python inside the process that opened it first, stays away from the event loop that serves
HTTP in this way.
"""

from pipeline.serving.replicas.gentle_imports import import_gently

import_gently("pipeline.recall_batch")

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

import numpy as np

from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import live_manifest, read_manifest
from pipeline.ranking import EncodedQuery, Reranked, choose_recall, ranked
from pipeline.recall import Recalled, recall
from pipeline.recall_batch import recall_batch
from pipeline.serving.limits.version_cache import VersionCache
from pipeline.serving.messages import Ask, Candidates, VersionKey, key_of
from pipeline.serving.replicas.gathering import AT_ONCE, MAX_TOGETHER, Gathering
from pipeline.serving.replicas.work_threads import work_threads
from pipeline.storage import Store
from schemas.errors import ReelsiftError
from schemas.fields import FieldType
from schemas.http import ClipInfo
from schemas.manifest import LITE, VersionManifest
from schemas.results import SearchHit

_T = TypeVar("_T")
THREADS: Final = 8
# A search that takes longer has met a Milvus that is gone or lost; its thread is wanted again when that is back.
_CALL_S: Final = 5
_KINDS: Final[dict[FieldType, Callable[[Any], bool | int | float | str]]] = {
    "int": int,
    "float": float,
    "bool": bool,
    "string": str,
}


@dataclass(frozen=True)
class Opened:
    """One version, open."""

    manifest: VersionManifest
    vectors: VectorStore

    def close(self) -> None:
        """Leave Milvus."""
        self.vectors.close()


_O = TypeVar("_O", bound=Opened)


class Recaller(ABC, Generic[_O]):
    """Stage 1, of versions that it holds open.

    Args:
        index_uri: the index.
    """

    def __init__(self, index_uri: str) -> None:
        self._index = Store(index_uri)
        self._versions: VersionCache[VersionKey, _O] = VersionCache(self._open, lambda opened: opened.close())
        self._pool = work_threads(THREADS, "recall")
        # A replica that comes in the place of one that died is asked as soon as it is there.
        with contextlib.suppress(ReelsiftError):
            self._warm(key_of(live_manifest(self._index)))

    def __del__(self) -> None:
        # A search that nobody waits for any more may still be at work on what is closed here.
        self._pool.shutdown(cancel_futures=True)
        self._versions.close()

    async def warm(self, version: VersionKey) -> None:
        """Open the stores of a version, so that no query has to wait for it."""
        await self._in_thread(self._warm, version)

    async def check(self, version: VersionKey) -> None:
        """Prove that searches are answered, by Milvus above all.

        Raises:
            VectorStoreError: Milvus does not answer.
            IndexCorruptError: a file that is read here was cut.
        """
        await self._in_thread(self._check, version)

    async def recover(self, version: VersionKey) -> None:
        """Connect to a Milvus that was away, and prove that it answers searches.

        Raises:
            VectorStoreError: it does not.
        """
        await self._in_thread(self._recover, version)

    async def similar(self, version: VersionKey, clip_id: str, k: int) -> list[SearchHit] | None:
        """The k clips most like a clip by their coarse vectors, or None if there is no such clip.

        Raises:
            VectorStoreError: Milvus is away.
        """
        return await self._in_thread(self._similar, version, clip_id, k)

    async def clip(self, version: VersionKey, clip_id: str) -> ClipInfo | None:
        """What is known of a clip, or None if there is no such clip.

        Raises:
            VectorStoreError: Milvus is away.
        """
        return await self._in_thread(self._clip, version, clip_id)

    async def _in_thread(self, work: Callable[..., _T], *args: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    def _similar(self, version: VersionKey, clip_id: str, k: int) -> list[SearchHit] | None:
        with self._versions.hold(version) as opened:
            collection = opened.manifest.collection
            vector_D = opened.vectors.stored_vectors(collection, [clip_id]).get(clip_id)
            if vector_D is None:
                return None
            # One more, since a clip is most like itself.
            found = recall(opened.vectors, opened.manifest, EncodedQuery(vector_D, vector_D), "coarse", k + 1, 1)
        others = [hit for hit in found.hits if hit.clip_id != clip_id]
        return ranked(others, Reranked([], [], 0.0, 0.0), k)

    def _clip(self, version: VersionKey, clip_id: str) -> ClipInfo | None:
        with self._versions.hold(version) as opened:
            manifest, fields = opened.manifest, opened.manifest.fields
            facts = ("clip_id", "video_id", "uri", "start_s", "end_s", "shard", "row")
            columns = [
                *facts,
                *(field.column for field in fields),
                *(field.present for field in fields if field.present),
            ]
            row = opened.vectors.values(manifest.collection, clip_id, list(dict.fromkeys(columns)))
        if row is None or not manifest.covers(row["shard"], row["row"]):
            return None
        return ClipInfo(
            version=manifest.version,
            **{name: row[name] for name in facts[:5]},
            fields={
                field.name: _KINDS[field.type](row[field.column]) if not field.present or row[field.present] else None
                for field in fields
            },
        )

    def _warm(self, version: VersionKey) -> None:
        self._search_once(version)

    def _recover(self, version: VersionKey) -> None:
        with self._versions.hold(version) as opened:
            opened.vectors.renew()
        self._search_once(version)

    def _check(self, version: VersionKey) -> None:
        self._search_once(version)

    def _search_once(self, version: VersionKey) -> None:
        with self._versions.hold(version) as opened:
            # The first search makes Milvus load the collections.
            nothing_D = np.zeros(opened.manifest.token_shape.dim, np.float32)
            query, mode = EncodedQuery(nothing_D, nothing_D), choose_recall(None, opened.manifest)
            recall(opened.vectors, opened.manifest, query, mode, k=1, recall_k=1)

    @abstractmethod
    def _open(self, key: VersionKey) -> _O:
        """Open a version. A later revision than the one asked for may be there by now, and serves as well."""

    def _vectors(self, manifest: VersionManifest) -> VectorStore:
        return VectorStore.open(manifest.milvus, self._index.root, _CALL_S)


@dataclass(frozen=True)
class _Question:
    """One search."""

    version: VersionKey
    query: EncodedQuery
    ask: Ask

    @property
    def kind(self) -> Hashable:
        """Only those that ask Milvus for the same can be answered together."""
        return self.version, self.ask.mode, self.ask.k, self.ask.recall_k, self.query.expression


class StageOne(Recaller[Opened]):
    """Stage 1 alone, for where the fine tokens are divided among rerank shards.

    Args:
        index_uri: the index.
        max_batch: searches that are answered together, where so many wait.
    """

    def __init__(self, index_uri: str, max_batch: int = MAX_TOGETHER) -> None:
        super().__init__(index_uri)
        self._gathering = Gathering(self._pool, self._recall_together, AT_ONCE, THREADS, min(max_batch, MAX_TOGETHER))

    async def recall(
        self, version: VersionKey, query: EncodedQuery, ask: Ask, skip: Set[str] = frozenset()
    ) -> Candidates:
        """Candidates for one text.

        Raises:
            IndexMissingError: the version is gone.
            VectorStoreError: Milvus is away.
        """
        question = _Question(version, query, ask)
        if skip:
            return await self._in_thread(self._recall, question, skip)
        return await self._gathering.ask(question.kind, question)

    async def recall_batch(self, version: VersionKey, queries: list[EncodedQuery], ask: Ask) -> list[Candidates]:
        """Candidates for many texts; as for one."""
        return await self._in_thread(self._recall_batch, version, queries, ask)

    def _recall_together(self, questions: Sequence[_Question]) -> list[Candidates]:
        first = questions[0]
        with self._versions.hold(first.version) as opened:
            alone = len(questions) == 1 or opened.manifest.milvus == LITE
        if alone:
            return [self._recall(question, frozenset()) for question in questions]
        found = self._recall_batch(first.version, [question.query for question in questions], first.ask)
        return [replace(one, batch=len(questions)) for one in found]

    def _recall(self, question: _Question, skip: Set[str]) -> Candidates:
        query, ask = question.query, question.ask
        with self._versions.hold(question.version) as opened:
            return _message(recall(opened.vectors, opened.manifest, query, ask.mode, ask.k, ask.recall_k, skip))

    def _recall_batch(self, version: VersionKey, queries: list[EncodedQuery], ask: Ask) -> list[Candidates]:
        with self._versions.hold(version) as opened:
            found = recall_batch(opened.vectors, opened.manifest, queries, ask.mode, ask.k, ask.recall_k)
        return [_message(one) for one in found]

    def _open(self, key: VersionKey) -> Opened:
        manifest = read_manifest(self._index, key.version)
        return Opened(manifest, self._vectors(manifest))


def _message(found: Recalled) -> Candidates:
    return Candidates(found.candidates, found.others, found.timings_ms)
