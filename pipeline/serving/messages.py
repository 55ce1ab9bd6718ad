"""What the deployments answer the ingress. Free of torch, which the ingress does not load."""

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.ranking import EncodedQuery
from schemas.manifest import VersionManifest
from schemas.results import SearchHit


class VersionKey(NamedTuple):
    """What a replica opens: a version, as one revision of its manifest describes it."""

    version: int
    revision: int


def key_of(manifest: VersionManifest) -> VersionKey:
    """The key of a manifest."""
    return VersionKey(manifest.version, manifest.revision)


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
