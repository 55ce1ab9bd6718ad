"""Settings of `reelsift index estimate`, and what it tells."""

from pydantic import Field

from schemas.codecs import CodecName
from schemas.config import MAX_BYTES, MAX_COUNT, MAX_GB, Config
from schemas.results import Result


class EstimateConfig(Config):
    """Settings of `reelsift index estimate`; the shape of a clip is that of a ViT-B/32 unless it is given.

    Attributes:
        clips: how many.
        codec: how fine tokens are stored.
        dim: numbers of a vector.
        frames: of a clip.
        patches: of a frame.
        shard_bytes: largest size of a fine shard.
        index_memory_gb: GiB that Milvus may use for the vectors of one collection.
        queries_a_second: that the service must answer.
        index_cores: cores of Milvus that make the index.
    """

    clips: int = Field(ge=1, le=10**12)
    codec: CodecName = "fp16"
    dim: int = Field(default=512, ge=1, le=32_768)
    frames: int = Field(default=12, ge=1, le=1000)
    patches: int = Field(default=49, ge=1, le=10_000)
    shard_bytes: int = Field(default=256 << 20, ge=1 << 12, le=MAX_BYTES)
    index_memory_gb: float = Field(default=16.0, gt=0, le=MAX_GB)
    queries_a_second: float = Field(default=50.0, gt=0, le=1e9)
    index_cores: int = Field(default=16, ge=1, le=MAX_COUNT)


class CollectionEstimate(Result):
    """A collection in Milvus; GB are 10^9 bytes.

    Attributes:
        rows: how many vectors.
        memory_gb: by index type.
        chosen: what `--index-type auto` takes on a server of release 2.4 or later.
        disk_gb: binlogs and the log of messages.
        load_hours: one writer.
        index_hours: of the chosen index on `index_cores` cores.
    """

    rows: int
    memory_gb: dict[str, float]
    chosen: str
    disk_gb: float
    load_hours: float
    index_hours: float


class SizeEstimate(Result):
    """What an index needs: `reelsift index estimate --json`.

    Attributes:
        clips: how many.
        codec: of the fine tokens.
        record_bytes: a fine record.
        fine_gb: all fine shards.
        shards: how many.
        coarse: the collection of clips.
        frames: the collection of frame vectors, where the index has one.
        queries_a_second: that were asked for.
        replicas: rerank replicas of one core, by recall mode.
    """

    clips: int
    codec: str
    record_bytes: int
    fine_gb: float
    shards: int
    coarse: CollectionEstimate
    frames: CollectionEstimate
    queries_a_second: float
    replicas: dict[str, int]
