"""Stage 1: candidates from Milvus, by coarse vectors, by frame vectors, or by both. Needs no model.

While a version is updated or clips are deleted, Milvus may hold rows that the manifest at hand does not cover, or
frames of a clip that is gone. They are left out, and others are asked for in their place.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline.candidates import unite
from pipeline.index.frame_search import MAX_WINDOW
from pipeline.index.hits import CoarseHit, FrameHit
from pipeline.ranking import EncodedQuery, coarse_order, elapsed_ms, now
from schemas.manifest import VersionManifest
from schemas.recall import RecallMode


@dataclass(frozen=True)
class Recalled:
    """What stage 1 found.

    Attributes:
        candidates: clips for stage 2, each with its coarse score.
        others: clips that rank below all candidates.
        timings_ms: "recall", and its parts "recall_coarse", "recall_frames", "recall_lookup" as far as they ran.
    """

    candidates: list[CoarseHit]
    others: list[CoarseHit]
    timings_ms: dict[str, float]

    @property
    def hits(self) -> list[CoarseHit]:
        """All of them, candidates first."""
        return self.candidates + self.others


class CandidateSource(Protocol):
    """What stage 1 asks: a `VectorStore`, or one that has asked already."""

    def search(
        self, collection: str, queries_QD: np.ndarray, limit: int, search: Mapping[str, int], expression: str
    ) -> list[list[CoarseHit]]:
        """As `VectorStore.search`."""

    def search_frames(
        self, collection: str, text_D: np.ndarray, limit: int, search: Mapping[str, int], expression: str
    ) -> list[FrameHit]:
        """As `VectorStore.search_frames`."""

    def look_up(self, collection: str, clip_ids: Sequence[str], query_D: np.ndarray) -> list[CoarseHit]:
        """As `VectorStore.look_up`."""


def recall(
    vectors: CandidateSource,
    manifest: VersionManifest,
    query: EncodedQuery,
    mode: RecallMode,
    k: int,
    recall_k: int,
    skip: Set[str] = frozenset(),
) -> Recalled:
    """Stage 1: at most `recall_k` candidates, and as many other clips as an answer of `k` needs, by coarse score.

    Args:
        vectors: where the collections are.
        manifest: the version; one with frame vectors, unless the mode is "coarse".
        query: the text.
        mode: how candidates are found.
        k: how many clips will be shown.
        recall_k: how many candidates there may be in all, in any mode.
        skip: clips that are known to be gone, though Milvus may still name them.

    Raises:
        VectorStoreError: Milvus is away or refuses.
    """
    return _Recall(vectors, manifest, query, set(skip)).run(mode, k, recall_k)


class _Recall:
    """One run of stage 1. `gone` is what it must leave out, as far as that is known."""

    def __init__(
        self, vectors: CandidateSource, manifest: VersionManifest, query: EncodedQuery, gone: set[str]
    ) -> None:
        self._vectors = vectors
        self._manifest = manifest
        self._query = query
        self._gone = gone
        self._clock = _Clock()

    def run(self, mode: RecallMode, k: int, recall_k: int) -> Recalled:
        frames_asked = recall_k
        by_frame = [] if mode == "coarse" else self._by_frame(frames_asked)
        # Frames alone name no clips to follow the candidates.
        by_coarse = [] if mode == "frames" and k <= len(by_frame) else self._by_coarse(max(k, recall_k))
        known = {hit.clip_id: hit for hit in by_coarse}
        first = [] if mode == "frames" else [hit.clip_id for hit in by_coarse[:recall_k]]
        while True:
            chosen = self._choose(first, by_frame, known, recall_k)
            if len(chosen) == recall_k or not self._gone or len(by_frame) < frames_asked or frames_asked == MAX_WINDOW:
                break
            frames_asked = min(2 * frames_asked, MAX_WINDOW)
            by_frame = self._by_frame(frames_asked)
        if len(chosen) < k and not by_coarse:
            by_coarse = self._by_coarse(max(k, recall_k))
        taken = set(chosen)
        others = [hit for hit in by_coarse if hit.clip_id not in taken]
        return Recalled([known[clip_id] for clip_id in chosen], others, self._clock.timings_ms())

    def _by_frame(self, limit: int) -> list[str]:
        frames = self._manifest.frames
        if not frames:
            return []
        with self._clock.part("recall_frames"):
            found = self._vectors.search_frames(
                frames.collection, self._query.text_D, limit, frames.ann.search, self._query.expression
            )
        return [hit.clip_id for hit in found]

    def _by_coarse(self, wanted: int) -> list[CoarseHit]:
        limit = wanted
        while True:
            with self._clock.part("recall_coarse"):
                query_1D, search = self._query.query_D[None], self._manifest.ann.search
                (hits,) = self._vectors.search(
                    self._manifest.collection, query_1D, limit, search, self._query.expression
                )
            usable = [hit for hit in hits if self._is_there(hit)]
            if len(usable) >= wanted or len(hits) < limit or limit == MAX_WINDOW:
                return coarse_order(usable)[:wanted]
            limit = min(2 * limit, MAX_WINDOW)

    def _choose(self, first: list[str], by_frame: list[str], known: dict[str, CoarseHit], recall_k: int) -> list[str]:
        """The candidates; those that only a frame found are looked up, and added to `known`."""
        while True:
            chosen = unite(first, [clip_id for clip_id in by_frame if clip_id not in self._gone], recall_k)
            unknown = [clip_id for clip_id in chosen if clip_id not in known]
            if not unknown:
                return chosen
            with self._clock.part("recall_lookup"):
                found = self._vectors.look_up(self._manifest.collection, unknown, self._query.query_D)
            known |= {hit.clip_id: hit for hit in found if self._is_there(hit)}
            self._gone.update(clip_id for clip_id in unknown if clip_id not in known)

    def _is_there(self, hit: CoarseHit) -> bool:
        return self._manifest.covers(hit.shard, hit.row) and hit.clip_id not in self._gone


class _Clock:
    def __init__(self) -> None:
        self._start = now()
        self._parts: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = now()
        yield
        self._parts[name] = round(self._parts.get(name, 0.0) + elapsed_ms(start), 3)

    def timings_ms(self) -> dict[str, float]:
        return {"recall": elapsed_ms(self._start), **self._parts}
