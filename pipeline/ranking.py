"""The pure side of search: what a query may be, what the stages hand over, and how their scores become one list."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.index.hits import CoarseHit
from schemas.errors import UsageError
from schemas.http import MAX_QUERY_CHARS
from schemas.manifest import VersionManifest
from schemas.recall import RecallMode
from schemas.results import SearchHit

FINE, COARSE = "fine", "coarse"
# Two clips with the same tokens may differ in the last bits by their place in a block; beyond this they tie.
SCORE_DECIMALS = 6


@dataclass(frozen=True)
class EncodedQuery:
    """One query.

    Attributes:
        text_D: t, float32, unit, for frames and stage 2.
        query_D: q = G^T t, float32, for coarse vectors.
        expression: what clips must meet (`pipeline.index.filter_expression`); "" for all.
    """

    text_D: np.ndarray
    query_D: np.ndarray
    expression: str = ""


@dataclass(frozen=True)
class Reads:
    """Records of fine tokens that were read: out of the page cache, and from disk.

    >>> Reads(3, 1) + Reads(1, 0)
    Reads(memory=4, disk=1)
    """

    memory: int = 0
    disk: int = 0

    def __add__(self, other: "Reads") -> "Reads":
        """Both together."""
        return Reads(self.memory + other.memory, self.disk + other.disk)


NO_READS = Reads()


@dataclass(frozen=True)
class Reranked:
    """Final scores of the candidates in their order, the time of each one's best frame, and what it cost.

    Where `holes` names candidates, which were deleted or replaced since they were found, nothing was scored: others are
    to be found. `reads` counts the records that were read.
    """

    scores: list[float]
    best_s: list[float | None]
    read_ms: float
    score_ms: float
    holes: frozenset[str] = frozenset()
    reads: Reads = NO_READS


def clean_query(text: str) -> str:
    r"""The query without surrounding white space.

    >>> clean_query("  a red star\n")
    'a red star'

    Raises:
        UsageError: nothing is left, it is too long, or it is not valid Unicode.
    """
    query = text.strip()
    if not query:
        raise UsageError("the query is empty: give a text to search for")
    if len(query) > MAX_QUERY_CHARS:
        raise UsageError(f"the query has {len(query)} characters, the limit is {MAX_QUERY_CHARS}: shorten it")
    if any("\ud800" <= char <= "\udfff" for char in query):
        raise UsageError(f"the query {query[:40]!a} is not valid text: send it as UTF-8")
    return query


def choose_recall(asked: RecallMode | None, manifest: VersionManifest) -> RecallMode:
    """How stage 1 finds candidates: as asked, else in every way that the version is built for.

    Raises:
        UsageError: frames are asked for, and the version has no frame vectors.
    """
    if asked is None:
        return "both" if manifest.frames else "coarse"
    if asked != "coarse" and not manifest.frames:
        raise UsageError(
            f"index version {manifest.version} has no frame vectors, so recall {asked!r} cannot be: take 'coarse', or "
            "build and publish a version with 'reelsift index build --frames yes'"
        )
    return asked


def now() -> float:
    """A point in time for `elapsed_ms`."""
    return time.perf_counter()


def elapsed_ms(since: float) -> float:
    """Milliseconds since a `now()`, to the microsecond."""
    return round((time.perf_counter() - since) * 1000, 3)


def coarse_order(hits: Sequence[CoarseHit]) -> list[CoarseHit]:
    """Hits by coarse score, best first; ties by clip_id."""
    return sorted(hits, key=lambda hit: (-round(hit.coarse_score, SCORE_DECIMALS), hit.clip_id))


def ranked(hits: Sequence[CoarseHit], scored: Reranked, k: int) -> list[SearchHit]:
    """The answer: the reranked clips by final score, then the others by coarse score; ties by clip_id.

    Args:
        hits: the recalled clips; the first len(scored.scores) of them were reranked.
        scored: stage 2's result.
        k: how many to return.
    """
    depth = len(scored.scores)
    rows = [
        (FINE, round(score, SCORE_DECIMALS), best_s, hit)
        for hit, score, best_s in zip(hits[:depth], scored.scores, scored.best_s, strict=True)
    ]
    rows.sort(key=lambda row: (-row[1], row[3].clip_id))
    rows += [(COARSE, round(hit.coarse_score, SCORE_DECIMALS), None, hit) for hit in coarse_order(hits[depth:])]
    return [
        SearchHit(
            rank=rank,
            clip_id=hit.clip_id,
            video_id=hit.video_id,
            uri=hit.uri,
            start_s=hit.start_s,
            end_s=hit.end_s,
            best_s=best_s,
            score=score,
            coarse_score=round(hit.coarse_score, SCORE_DECIMALS),
            stage=stage,
        )
        for rank, (stage, score, best_s, hit) in enumerate(rows[:k], start=1)
    ]
