"""Stage 1: candidates from Milvus, by coarse vectors, by frame vectors, or by both. Needs no model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.candidates import unite
from pipeline.index.hits import CoarseHit
from pipeline.index.vector_store import VectorStore
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


def recall(
    vectors: VectorStore, manifest: VersionManifest, query: EncodedQuery, mode: RecallMode, k: int, recall_k: int
) -> Recalled:
    """Stage 1: at most `recall_k` candidates, and as many other clips as an answer of `k` needs, by coarse score.

    Args:
        vectors: where the collections are.
        manifest: the version; one with frame vectors, unless the mode is "coarse".
        query: the text.
        mode: how candidates are found.
        k: how many clips will be shown.
        recall_k: how many candidates there may be in all, in any mode.

    Raises:
        IndexCorruptError: the collections of clips and frames disagree.
        VectorStoreError: Milvus is away or refuses.
    """
    clock = _Clock()
    by_frame: list[str] = []
    if mode != "coarse" and manifest.frames:
        with clock.part("recall_frames"):
            found = vectors.search_frames(manifest.frames.collection, query.text_D, recall_k)
        by_frame = [hit.clip_id for hit in found]
    by_coarse: list[CoarseHit] = []
    # Frames alone name no clips to follow the candidates.
    if mode != "frames" or k > len(by_frame):
        with clock.part("recall_coarse"):
            by_coarse = coarse_order(vectors.search(manifest.collection, query.query_D[None], max(k, recall_k))[0])
    known = {hit.clip_id: hit for hit in by_coarse}
    first = [] if mode == "frames" else [hit.clip_id for hit in by_coarse[:recall_k]]
    chosen = unite(first, by_frame, recall_k)
    unknown = [clip_id for clip_id in chosen if clip_id not in known]
    if unknown:
        with clock.part("recall_lookup"):
            known |= {hit.clip_id: hit for hit in vectors.look_up(manifest.collection, unknown, query.query_D)}
    taken = set(chosen)
    others = [hit for hit in by_coarse if hit.clip_id not in taken]
    return Recalled([known[clip_id] for clip_id in chosen], others, clock.timings_ms())


class _Clock:
    def __init__(self) -> None:
        self._start = now()
        self._parts: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = now()
        yield
        self._parts[name] = elapsed_ms(start)

    def timings_ms(self) -> dict[str, float]:
        return {"recall": elapsed_ms(self._start), **self._parts}
