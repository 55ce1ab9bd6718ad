"""What the deployments hand each other. Free of torch, which the ingress does not load."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.index.hits import CoarseHit
from pipeline.ranking import NO_READS, EncodedQuery, Reads
from schemas.manifest import VersionManifest
from schemas.recall import RecallMode
from schemas.results import SearchHit


class VersionKey(NamedTuple):
    """What a replica opens: a version, as one revision of its manifest describes it."""

    version: int
    revision: int


def key_of(manifest: VersionManifest) -> VersionKey:
    """The key of a manifest."""
    return VersionKey(manifest.version, manifest.revision)


@dataclass(frozen=True)
class Ask:
    """How queries are to be answered.

    Attributes:
        k: how many clips to return.
        recall_k: how many candidates are scored finely.
        mode: how they are found.
        budget_ms: how long it may take from when it arrives.
        rerank: whether there is a second stage.
        explain: whether the hits are explained.
    """

    k: int
    recall_k: int
    mode: RecallMode
    budget_ms: float
    rerank: bool = True
    explain: bool = False


@dataclass(frozen=True)
class Encoded:
    """One text's vectors, the milliseconds of work that its batch took, and how many requests that held."""

    vectors: EncodedQuery
    encode_ms: float
    batch: int = 1


@dataclass(frozen=True)
class EncodedBatch:
    """The vectors of many texts, in their order, and the milliseconds of work."""

    vectors: list[EncodedQuery]
    encode_ms: float


@dataclass(frozen=True)
class Candidates:
    """What stage 1 found for one text: clips for stage 2, and others that rank below them; and of how many at once."""

    candidates: list[CoarseHit]
    others: list[CoarseHit]
    timings_ms: dict[str, float]
    batch: int = 1


@dataclass(frozen=True)
class Answer:
    """One search's answer.

    Attributes:
        hits: ranked clips.
        timings_ms: of each stage.
        degraded: what was left out for want of time.
        reads: fine records.
        batch: how many searches were asked of Milvus together, this one included.
    """

    hits: list[SearchHit]
    timings_ms: dict[str, float]
    degraded: list[str]
    reads: Reads = NO_READS
    batch: int = 1


def writable(query: EncodedQuery) -> EncodedQuery:
    """A query whose arrays may be written: Ray hands them over read-only, and torch warns of each such one."""
    return EncodedQuery(np.array(query.text_D), np.array(query.query_D), query.expression)
