"""Stage 2 for many texts at once: a clip that several have as a candidate is read once and scored while it is near."""

from collections.abc import Sequence

import numpy as np

from models.reranking import score_pairs
from models.token_sets import Pairs
from pipeline.index.fine_store import FineRecords, FineStore, Tier
from pipeline.index.hits import CoarseHit
from pipeline.ranking import Reads, Reranked, elapsed_ms, now
from pipeline.rerank import RERANK_BLOCK, best_time, holes_among, reads_of
from schemas.scoring import ScoringParams


def rerank_batch(
    texts_QD: np.ndarray,
    candidates: Sequence[Sequence[CoarseHit]],
    fine: FineStore,
    params: ScoringParams,
    threads: int = 1,
    tier: Tier = "all",
) -> list[Reranked]:
    """The fine scores of each text's candidates: to the last bit those that `rerank` gives for the text alone.

    Args:
        texts_QD: the unit text vectors.
        candidates: of each text.
        fine: where their tokens are.
        params: the model's scoring parameters.
        threads: that share the scoring.
        tier: as for `rerank`.

    Returns:
        the scores of each text, or the candidates of it whose records are holes. Times and reads are those of the
        whole.

    Raises:
        IndexCorruptError: a record is not that of the clip it was read for.
    """
    clips = list({hit.clip_id: hit for hits in candidates for hit in hits}.values())
    places: dict[str, list[tuple[int, int]]] = {}
    for query, hits in enumerate(candidates):
        for place, hit in enumerate(hits):
            places.setdefault(hit.clip_id, []).append((query, place))
    batch = _Batch(texts_QD, candidates, places, params, threads)
    read_ms = score_ms = 0.0
    for first in range(0, len(clips), RERANK_BLOCK):
        block = clips[first : first + RERANK_BLOCK]
        start = now()
        records = fine.read([(hit.shard, hit.row) for hit in block], tier)
        batch.holes |= holes_among(block, records)
        batch.reads += reads_of(records)
        read_ms += elapsed_ms(start)
        start = now()
        batch.score(block, records)
        score_ms += elapsed_ms(start)
    return batch.reranked(round(read_ms, 3), round(score_ms, 3))


class _Batch:
    def __init__(
        self,
        texts_QD: np.ndarray,
        candidates: Sequence[Sequence[CoarseHit]],
        places: dict[str, list[tuple[int, int]]],
        params: ScoringParams,
        threads: int,
    ) -> None:
        self._texts_QD = np.ascontiguousarray(texts_QD, np.float32)
        self._candidates = candidates
        self._places = places
        self._params = params
        self._threads = threads
        self._scores = [[0.0] * len(hits) for hits in candidates]
        self._best_s: list[list[float | None]] = [[None] * len(hits) for hits in candidates]
        self.holes: set[str] = set()
        self.reads = Reads()

    def score(self, block: Sequence[CoarseHit], records: FineRecords) -> None:
        """Score every pair of a text and a clip of one block."""
        pairs = [(clip, *where) for clip, hit in enumerate(block) for where in self._places[hit.clip_id]]
        clip_P, query_P = np.array([[pair[0], pair[1]] for pair in pairs], np.int64).reshape(-1, 2).T
        coarse_P = np.array([self._candidates[query][place].coarse_score for _, query, place in pairs], np.float32)
        of_texts = Pairs(self._texts_QD, np.ascontiguousarray(query_P), np.ascontiguousarray(clip_P))
        score_P, best_P = score_pairs(of_texts, records.clips, coarse_P, self._params, self._threads)
        for (clip, query, place), score, best in zip(pairs, score_P.tolist(), best_P.tolist(), strict=True):
            self._scores[query][place] = score
            self._best_s[query][place] = best_time(records, clip, best)

    def reranked(self, read_ms: float, score_ms: float) -> list[Reranked]:
        """What was found out of each text."""
        found = []
        for hits, scores, best_s in zip(self._candidates, self._scores, self._best_s, strict=True):
            holes = frozenset(hit.clip_id for hit in hits if hit.clip_id in self.holes)
            found.append(
                Reranked([] if holes else scores, [] if holes else best_s, read_ms, score_ms, holes, self.reads)
            )
        return found
