"""Deployment of one part of the fine tokens: it reads and scores those candidates whose records it has."""

from pipeline.serving.replicas.gentle_imports import import_gently

import_gently("pipeline.rerank_batch", "pipeline.explain")

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeVar

import numpy as np
import torch

from pipeline.explain import explain
from pipeline.index.fine_store import FineStore, Tier
from pipeline.index.hits import CoarseHit
from pipeline.index.versions import live_manifest, open_fine, read_manifest
from pipeline.ranking import NO_READS, Reranked
from pipeline.rerank import warm_up
from pipeline.rerank_batch import rerank_batch
from pipeline.serving.limits.version_cache import VersionCache
from pipeline.serving.messages import VersionKey, key_of
from pipeline.serving.replicas.gathering import AT_ONCE, MAX_TOGETHER, Gathering
from pipeline.serving.replicas.work_threads import work_threads
from pipeline.serving.shard_assignment import parts_of_files
from pipeline.storage import Store
from schemas.errors import ReelsiftError
from schemas.manifest import VersionManifest
from schemas.results import HitExplanation

_T = TypeVar("_T")
_THREADS: Final = 8


@dataclass(frozen=True)
class OpenedPart:
    """The part of one version, open."""

    manifest: VersionManifest
    fine: FineStore

    def close(self) -> None:
        """Close the files."""
        self.fine.close()


@dataclass(frozen=True)
class _Part:
    """What one search asks: the texts, and the candidates of each."""

    version: VersionKey
    texts_QD: np.ndarray
    candidates: list[list[CoarseHit]]
    tier: Tier


class RerankShard:
    """Stage 2 of one part.

    Args:
        index_uri: the index.
        part: which one, from 0.
        parts: how many there are.
        score_threads: that share the scoring of one query.
        max_batch: searches that are scored together, where so many wait.
    """

    def __init__(
        self, index_uri: str, part: int, parts: int, score_threads: int = 1, max_batch: int = MAX_TOGETHER
    ) -> None:
        torch.set_num_threads(1)
        self._index = Store(index_uri)
        self._part = part
        self._parts = parts
        self._score_threads = score_threads
        self._versions = VersionCache(self._open, OpenedPart.close)
        self._pool = work_threads(_THREADS, "rerank")
        self._gathering = Gathering(self._pool, self._score, AT_ONCE, _THREADS, max_batch)
        # A replica that comes in the place of one that died is asked as soon as it is there.
        with contextlib.suppress(ReelsiftError):
            self._warm(key_of(live_manifest(self._index)))

    def __del__(self) -> None:
        # A search that nobody waits for any more may still be at work on what is closed here.
        self._pool.shutdown(cancel_futures=True)
        self._versions.close()

    async def warm(self, version: VersionKey) -> None:
        """Open the files of a version, so that no query has to wait for it."""
        await self._in_thread(self._warm, version)

    async def check(self, version: VersionKey) -> None:
        """Prove that the files of a version are still those that were opened.

        Raises:
            IndexCorruptError: one was cut.
        """
        await self._in_thread(self._check, version)

    async def score(
        self, version: VersionKey, texts_QD: np.ndarray, candidates: list[list[CoarseHit]], tier: Tier
    ) -> list[Reranked]:
        """The fine scores of each text's candidates in this part, in their order.

        Raises:
            IndexMissingError: the version is gone.
            IndexCorruptError: a file is not what the manifest says, or a record is not that of its clip.
        """
        # Ray hands arrays over read-only, and torch warns of each such one.
        part = _Part(version, np.array(texts_QD), candidates, tier)
        return await self._gathering.ask((version, tier), part)

    async def explain(
        self, version: VersionKey, text_D: np.ndarray, addresses: dict[str, tuple[int, int]]
    ) -> dict[str, HitExplanation]:
        """What a text attends to in clips of this part, by clip_id."""
        return await self._in_thread(self._explain, version, text_D, addresses)

    async def _in_thread(self, work: Callable[..., _T], *args: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    def _score(self, parts: Sequence[_Part]) -> list[list[Reranked]]:
        """Score what several searches ask of one version and tier; reads are told once."""
        texts_QD = np.concatenate([part.texts_QD for part in parts])
        candidates = [hits for part in parts for hits in part.candidates]
        with self._versions.hold(parts[0].version) as opened:
            scoring = opened.manifest.scoring
            scored = rerank_batch(texts_QD, candidates, opened.fine, scoring, self._score_threads, parts[0].tier)
        answers: list[list[Reranked]] = []
        rest = iter(scored)
        for part in parts:
            own = list(islice(rest, len(part.candidates)))
            answers.append([replace(one, reads=NO_READS) for one in own] if answers else own)
        return answers

    def _explain(
        self, version: VersionKey, text_D: np.ndarray, addresses: dict[str, tuple[int, int]]
    ) -> dict[str, HitExplanation]:
        with self._versions.hold(version) as opened:
            return explain(np.array(text_D), addresses, opened.fine, opened.manifest.scoring)

    def _check(self, version: VersionKey) -> None:
        with self._versions.hold(version) as opened:
            opened.fine.check()

    def _warm(self, version: VersionKey) -> None:
        with self._versions.hold(version) as opened:
            warm_up(opened.fine, opened.manifest.scoring, opened.manifest.token_shape.dim)

    def _open(self, key: VersionKey) -> OpenedPart:
        return OpenedPart(*open_fine(self._index, read_manifest(self._index, key.version), self._own_files))

    def _own_files(self, manifest: VersionManifest) -> list[int]:
        parts = parts_of_files([shard.clips for shard in manifest.shards], self._parts)
        return [number for number, part in enumerate(parts) if part == self._part]
