"""Stage 2: the fine scores of the candidates. Needs no model."""

from collections.abc import Iterator, Sequence

import numpy as np

from models.reranking import score_pairs
from models.token_sets import Pairs
from pipeline.index.fine_store import FineRecords, FineStore, Tier
from pipeline.index.hits import CoarseHit
from pipeline.ranking import Reads, Reranked, elapsed_ms, now
from schemas.errors import IndexCorruptError
from schemas.scoring import ScoringParams

# Bounds the memory of a rerank: 64 clips of ViT-B/32 are 80 MB in float32, a recall depth of 1000 would be 1.2 GB.
RERANK_BLOCK = 64


def rerank(
    text_D: np.ndarray,
    hits: Sequence[CoarseHit],
    fine: FineStore,
    params: ScoringParams,
    threads: int = 1,
    tier: Tier = "all",
) -> Reranked:
    """Read the fine tokens of the candidates and score them.

    Args:
        text_D: the unit text vector.
        hits: the candidates.
        fine: where their tokens are.
        params: the model's scoring parameters.
        threads: that share the scoring; the scores do not depend on them.
        tier: "frames" reads and scores no patches: S_wf, S_sf and S_vid as ever, and a clip's frames stand for its
            patches in S_wp, as in an index with the codec `frames`. Less to read, and a little less exact.

    Returns:
        the scores, or the candidates whose records are holes.

    Raises:
        IndexCorruptError: a record is not that of the clip it was read for.
    """
    holes: set[str] = set()
    scores: list[float] = []
    best_s: list[float | None] = []
    read_ms = score_ms = 0.0
    reads = Reads()
    for block in _blocks(hits):
        start = now()
        records = fine.read([(hit.shard, hit.row) for hit in block], tier)
        holes |= holes_among(block, records)
        reads += reads_of(records)
        read_ms += elapsed_ms(start)
        if holes:
            continue
        start = now()
        block_scores, block_best_s = _score(text_D, block, records, params, threads)
        scores += block_scores
        best_s += block_best_s
        score_ms += elapsed_ms(start)
    if holes:
        return Reranked([], [], round(read_ms, 3), round(score_ms, 3), frozenset(holes), reads)
    return Reranked(scores, best_s, round(read_ms, 3), round(score_ms, 3), reads=reads)


def warm_up(fine: FineStore, params: ScoringParams, dim: int) -> None:
    """Compile what `rerank` runs, so that no query waits for it: seconds once a machine, milliseconds afterwards.

    Args:
        fine: the store that will be read.
        params: the model's scoring parameters.
        dim: D.
    """
    _score(np.zeros(dim, np.float32), [], fine.read([]), params, threads=1)


def _blocks(hits: Sequence[CoarseHit]) -> Iterator[Sequence[CoarseHit]]:
    for start in range(0, len(hits), RERANK_BLOCK):
        yield hits[start : start + RERANK_BLOCK]


def holes_among(hits: Sequence[CoarseHit], records: FineRecords) -> set[str]:
    """Clips whose records were zeroed since they were found; any other record than their own is an error."""
    holes = set()
    for hit, found in zip(hits, records.clip_ids, strict=True):
        if not found:
            holes.add(hit.clip_id)
        elif found != hit.clip_id:
            raise IndexCorruptError(
                f"shard {hit.shard} row {hit.row} holds clip {found}, but Milvus names {hit.clip_id} there: "
                "rebuild the index ('reelsift index build')"
            )
    return holes


def reads_of(records: FineRecords) -> Reads:
    """Where records came from."""
    return Reads(len(records.clip_ids) - records.from_disk, records.from_disk)


def _score(
    text_D: np.ndarray, hits: Sequence[CoarseHit], records: FineRecords, params: ScoringParams, threads: int
) -> tuple[list[float], list[float | None]]:
    coarse_B = np.array([hit.coarse_score for hit in hits], np.float32)
    score_B, best_B = score_pairs(Pairs.of_one(text_D, len(hits)), records.clips, coarse_B, params, threads)
    best_s = [best_time(records, clip, frame) for clip, frame in enumerate(best_B.tolist())]
    return score_B.tolist(), best_s


def best_time(records: FineRecords, clip: int, frame: int) -> float | None:
    """The time of a frame; None for padding, which may win with unmasked fusion (the reference profile)."""
    return float(records.frame_times_BF[clip, frame]) if records.clips.mask_BF[clip, frame] else None
