"""Stage 1 for many texts at once: Milvus answers a list of vectors for little more than the price of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.candidates import unite
from pipeline.index.hits import CoarseHit, FrameHit
from pipeline.index.vector_store import VectorStore
from pipeline.ranking import EncodedQuery, elapsed_ms, now
from pipeline.recall import Recalled, recall
from schemas.manifest import VersionManifest
from schemas.recall import RecallMode


def recall_batch(
    vectors: VectorStore,
    manifest: VersionManifest,
    queries: Sequence[EncodedQuery],
    mode: RecallMode,
    k: int,
    recall_k: int,
) -> list[Recalled]:
    """What `recall` finds for each text, in the order of the texts.

    The last bits of a coarse score may differ: Milvus may multiply matrices where it multiplied vectors.

    Args:
        vectors: where the collections are.
        manifest: the version; one with frame vectors, unless the mode is "coarse".
        queries: the texts; all have the same expression.
        mode: how candidates are found.
        k: how many clips will be shown.
        recall_k: how many candidates there may be of each.

    Raises:
        VectorStoreError: Milvus is away or refuses.
    """
    start = now()
    sources = _asked_together(vectors, manifest, queries, mode, k, recall_k)
    found = [recall(source, manifest, query, mode, k, recall_k) for source, query in zip(sources, queries, strict=True)]
    timings_ms = {"recall": elapsed_ms(start)}
    return [Recalled(one.candidates, one.others, timings_ms) for one in found]


@dataclass(frozen=True)
class _Asked:
    """The first answers to one text. What they do not hold is asked of Milvus, for this text alone."""

    vectors: VectorStore
    coarse_limit: int
    by_coarse: list[CoarseHit] | None
    frame_limit: int
    by_frame: list[FrameHit] | None
    looked_for: frozenset[str] = frozenset()
    looked_up: Sequence[CoarseHit] = ()

    def search(
        self, collection: str, queries_QD: np.ndarray, limit: int, search: Mapping[str, int], expression: str
    ) -> list[list[CoarseHit]]:
        if self.by_coarse is not None and limit == self.coarse_limit:
            return [self.by_coarse]
        return self.vectors.search(collection, queries_QD, limit, search, expression)

    def search_frames(
        self, collection: str, text_D: np.ndarray, limit: int, search: Mapping[str, int], expression: str
    ) -> list[FrameHit]:
        if self.by_frame is not None and limit == self.frame_limit:
            return self.by_frame
        return self.vectors.search_frames(collection, text_D, limit, search, expression)

    def look_up(self, collection: str, clip_ids: Sequence[str], query_D: np.ndarray) -> list[CoarseHit]:
        if self.looked_for.issuperset(clip_ids):
            known = {hit.clip_id: hit for hit in self.looked_up}
            return [known[clip_id] for clip_id in clip_ids if clip_id in known]
        return self.vectors.look_up(collection, clip_ids, query_D)

    def will_look_up(self, mode: RecallMode, recall_k: int) -> list[str]:
        """Clips that only a frame found and that will be candidates, as far as the first answers tell."""
        coarse = [] if mode == "frames" else [hit.clip_id for hit in self.by_coarse or ()]
        chosen = unite(coarse[:recall_k], [hit.clip_id for hit in self.by_frame or ()], recall_k)
        known = set(coarse)
        return [clip_id for clip_id in chosen if clip_id not in known]


def _asked_together(
    vectors: VectorStore,
    manifest: VersionManifest,
    queries: Sequence[EncodedQuery],
    mode: RecallMode,
    k: int,
    recall_k: int,
) -> list[_Asked]:
    limit, expression, frames = max(k, recall_k), queries[0].expression, manifest.frames
    by_coarse: Sequence[list[CoarseHit] | None] = [None] * len(queries)
    by_frame: Sequence[list[FrameHit] | None] = [None] * len(queries)
    if mode != "frames":
        # Frames alone ask for coarse hits only where they found too few clips.
        queries_QD = np.stack([query.query_D for query in queries])
        by_coarse = vectors.search(manifest.collection, queries_QD, limit, manifest.ann.search, expression)
    if mode != "coarse" and frames:
        texts_QD = np.stack([query.text_D for query in queries])
        by_frame = vectors.search_frames_batch(frames.collection, texts_QD, recall_k, frames.ann.search, expression)
    asked = [_Asked(vectors, limit, coarse, recall_k, frame) for coarse, frame in zip(by_coarse, by_frame, strict=True)]
    unknown = [one.will_look_up(mode, recall_k) for one in asked]
    if not any(unknown):
        return asked
    found = vectors.look_up_batch(manifest.collection, unknown, np.stack([query.query_D for query in queries]))
    return [
        replace(one, looked_for=frozenset(ids), looked_up=hits)
        for one, ids, hits in zip(asked, unknown, found, strict=True)
    ]
