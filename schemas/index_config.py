"""Settings of the commands of `reelsift index`."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from schemas.codecs import CodecName
from schemas.config import MAX_BYTES, MAX_COUNT, MAX_GB, MAX_SECONDS, Config, Count, Fraction
from schemas.fields import MAX_FIELDS, FilterField, OwnField
from schemas.http import MAX_K
from schemas.recall import FramesSetting, IndexTypeSetting


class IndexConfig(Config):
    """Settings of `reelsift index build`.

    Attributes:
        tables: where the clips are.
        index: where the version goes.
        milvus: a server's address; None for Milvus Lite.
        bulk_import: where that server reads files by itself, a local path that is the same there or s3:// with its
            bucket: rows are then imported from Parquet files and not inserted.
        codec: how fine tokens are stored.
        frames: whether frame vectors are written.
        index_type: of the vectors; "auto" chooses by their number and by `index_memory_gb`.
        index_memory_gb: GiB that Milvus may use for the vectors of one collection.
        index_stall_s: a server that indexes no further row for so long fails the build.
        recall_target: share of the exact best 50 rows that a search must find, else the build fails.
        recall_sample: queries of each kind that it is measured with.
        fields: NAME:TYPE of metadata columns that searches may be filtered by, beside those of every clip.
        shard_bytes: largest size of a fine shard.
        batch_rows: rows of a message to Milvus.
    """

    tables: str = Field(min_length=1)
    index: str = Field(min_length=1)
    milvus: str | None = None
    bulk_import: str | None = Field(default=None, min_length=1)
    codec: CodecName = "fp16"
    frames: FramesSetting = "auto"
    index_type: IndexTypeSetting = "auto"
    index_memory_gb: float = Field(default=16.0, gt=0, le=MAX_GB)
    index_stall_s: int = Field(default=3600, ge=1, le=int(MAX_SECONDS))
    recall_target: Fraction = 0.95
    recall_sample: int = Field(default=200, ge=1, le=10_000)
    fields: tuple[OwnField, ...] = Field(default=(), max_length=MAX_FIELDS)
    shard_bytes: int = Field(default=256 << 20, ge=1 << 12, le=MAX_BYTES)
    batch_rows: Count = 512

    @field_validator("fields")
    @classmethod
    def _each_once(cls, value: tuple[FilterField, ...]) -> tuple[FilterField, ...]:
        names = [field.name for field in value]
        if len(set(names)) < len(names):
            raise ValueError(f"{next(name for name in names if names.count(name) > 1)} is given twice")
        return value


class CodecsConfig(Config):
    """Settings of `reelsift index codecs`.

    Attributes:
        tables: whose clips codecs are tried on.
        data: captions of these clips, FOLDER with a captions.jsonl or NAME:FOLDER; None makes queries from the clips.
        split: of the data.
        codecs: which to try; fp32 is always tried first.
        max_loss: points of R@1 that the choice may lose against fp32.
        clips: how many at most; all of them are held in memory.
        queries: how many at most.
        candidates: how many stage 2 sees of a query.
        seed: of the choice of queries, and of those that are made.
    """

    tables: str = Field(min_length=1)
    data: str | None = None
    split: str = Field(default="test", min_length=1)
    codecs: tuple[CodecName, ...] = Field(
        default=("fp32", "fp16", "int8", "1bit", "pooled-64", "pooled-23", "pooled-8", "frames"), min_length=1
    )
    max_loss: float = Field(default=0.3, ge=0, le=100)
    clips: int = Field(default=500, ge=2, le=MAX_COUNT)
    queries: Count = 1000
    candidates: int = Field(default=50, ge=1, le=MAX_K)
    seed: int = Field(default=0, ge=0, lt=1 << 63)


class PublishConfig(Config):
    """Settings of `reelsift index publish`.

    Attributes:
        index: the index.
        version: None for the newest.
        canaries: texts, one a line; without them the version's own vectors are asked for.
        min_overlap: least overlap@10 with the live version, where that is of the same model.
        min_recall: least recall@50 that the build measured.
        evaluation: a report.json, which `index list` then tells of.
    """

    index: str = Field(min_length=1)
    version: int | None = Field(default=None, ge=1)
    canaries: str | None = Field(default=None, min_length=1)
    min_overlap: Fraction | None = None
    min_recall: Fraction | None = None
    evaluation: str | None = Field(default=None, min_length=1)


class RollbackConfig(Config):
    """Settings of `reelsift index rollback`; without a version it is the one that was live before."""

    index: str = Field(min_length=1)
    version: int | None = Field(default=None, ge=1)


class UpdateConfig(Config):
    """Settings of `reelsift index update`; without a version it is the live one."""

    tables: str = Field(min_length=1)
    index: str = Field(min_length=1)
    version: int | None = Field(default=None, ge=1)
    shard_bytes: int = Field(default=256 << 20, ge=1 << 12, le=MAX_BYTES)
    batch_rows: Count = 512


class DeleteConfig(Config):
    """Settings of `reelsift index delete`: videos that are named, or that meet conditions, or both.

    Attributes:
        tables: whose clips go.
        index: from whose versions they go too.
        video_id: ids.
        uri: locations; * and ? stand for any text and any character.
        where: conditions on the rows of the videos, which must all hold: of those that are named, or else of all.
        dry_run: say what would go, and change nothing.
    """

    tables: str = Field(min_length=1)
    index: str = Field(min_length=1)
    video_id: tuple[str, ...] = ()
    uri: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    dry_run: bool = False

    @model_validator(mode="after")
    def _names_some(self) -> Self:
        if not (self.video_id or self.uri or self.where):
            raise ValueError("say which videos: --video-id, --uri or --where")
        return self


class GcConfig(Config):
    """Settings of `reelsift index gc`.

    Attributes:
        index: the index.
        keep: the newest versions that stay, beside the live one and the one before it.
        dry_run: say what would be removed, and change nothing.
    """

    index: str = Field(min_length=1)
    keep: int = Field(default=2, ge=0, le=MAX_COUNT)
    dry_run: bool = False


class IndexListConfig(Config):
    """Settings of `reelsift index list`."""

    index: str = Field(min_length=1)
