"""Settings and answer of `reelsift plan`: what an extraction would take, from a sample."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from schemas.config import DEFAULT_MODEL, MAX_BYTES, Config, ExtractConfig, Seconds
from schemas.results import Result


class PlanConfig(Config):
    """Settings of `reelsift plan`; those that `reelsift extract` has too mean the same there.

    Attributes:
        input: files, folders, globs, s3:// prefixes and manifests.
        model: what would encode.
        clips: how a video becomes clips.
        sampling: exact or fast.
        sample: videos that are decoded and encoded to measure.
        decode_timeout_s: wall time of a file.
        max_source_bytes: of a file.
        videos_per_task: sources that are committed together.
    """

    input: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    model: str = Field(default=DEFAULT_MODEL, min_length=1)
    clips: str = "whole"
    sampling: Literal["exact", "fast"] = "exact"
    sample: int = Field(default=8, ge=1, le=1000)
    decode_timeout_s: Seconds = 60.0
    max_source_bytes: int = Field(default=8 << 30, ge=1, le=MAX_BYTES)
    videos_per_task: int | None = Field(default=None, ge=1, le=256)

    @field_validator("clips")
    @classmethod
    def _known_clip_rule(cls, value: str) -> str:
        return ExtractConfig.known_clip_rule(value)


class RunEstimate(Result):
    """What an extraction of these inputs would take.

    Counts of the listing are exact; all else is the sample's, scaled by bytes of the sources. `decode_core_hours` is
    processor time. `encode_hours` is that of one device of the kind that `encode_device` names: a GPU, or one core.

    Attributes:
        sources: listed, of which `filtered` would not be decoded.
        filtered: by their names.
        source_bytes: of those that would be decoded; unknown sizes count as 0.
        sampled: videos that were decoded to measure.
        quarantined_share: of the sampled.
        video_hours: of all videos.
        clips: of all videos.
        decode_core_hours: see above.
        encode_hours: see above.
        encode_device: "cuda" or "cpu".
        table_bytes: of all clips as stored, before compression, which does little for them.
        reads: GET and HEAD requests, for inputs in an object store.
        writes: PUT requests, for tables in an object store.
        lists: LIST requests of one listing.
        listing_bytes: memory of the driver for the listing and the plan of it.
        tasks: units of commit.
        model_id: of the model that was measured.
    """

    sources: int
    filtered: int
    source_bytes: int
    sampled: int
    quarantined_share: float
    video_hours: float
    clips: int
    decode_core_hours: float
    encode_hours: float
    encode_device: str
    table_bytes: int
    reads: int
    writes: int
    lists: int
    listing_bytes: int
    tasks: int
    model_id: str
