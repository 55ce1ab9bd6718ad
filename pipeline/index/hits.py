"""What the two searches of stage 1 find."""

from dataclasses import dataclass


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
