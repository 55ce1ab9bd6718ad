"""What the two searches of stage 1 find."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class CoarseHit:
    """One clip of stage 1: what Milvus knows of it, where its fine record is, and S_vid without the logit scale."""

    clip_id: str
    video_id: str
    uri: str
    start_s: float
    end_s: float
    shard: int
    row: int
    coarse_score: float


@dataclass(frozen=True)
class FrameHit:
    """One frame, or the best one of a clip: t . n(f)."""

    clip_id: str
    frame_score: float


# What a row of a collection of clips gives to a `CoarseHit`.
CLIP_COLUMNS = [field.name for field in fields(CoarseHit) if field.name != "coarse_score"]


def coarse_hit(row: Mapping[str, Any], score: float) -> CoarseHit:
    """A row with at least `CLIP_COLUMNS`, and its score."""
    return CoarseHit(**{name: row[name] for name in CLIP_COLUMNS}, coarse_score=float(score))
