"""What the deployments answer the ingress. Free of torch, which the ingress does not load."""

from dataclasses import dataclass

from pipeline.ranking import EncodedQuery
from schemas.results import SearchHit


@dataclass(frozen=True)
class Encoded:
    """One text's vectors, and the milliseconds of work that its batch took."""

    vectors: EncodedQuery
    encode_ms: float


@dataclass(frozen=True)
class Answer:
    """Ranked clips, and the milliseconds of each stage."""

    hits: list[SearchHit]
    timings_ms: dict[str, float]
