"""Arrow schemas of the tables at rest, and the layout of their objects.

TABLES/extract.json                 what wrote these tables: model, sampler, clip rule (see `TablesInfo`)
TABLES/plan/part-NNNNN.parquet      one row a source, append only; a later part supersedes a row of the same video_id
TABLES/clips/<task_id>.parquet      one row a clip
TABLES/clips/<task_id>.1-of-3.parquet  likewise, of a video whose clips are more than a worker is to hold
TABLES/videos/<task_id>.parquet     one row a source; written last, it IS the commit of the task
TABLES/parts/                       how such a video is cut, and which parts are done; gone with its commit
TABLES/contents/                    which committed video has which content, where that is an identity
"""

import json
from typing import Final

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

PLAN_DIR: Final = "plan"
CLIPS_DIR: Final = "clips"
VIDEOS_DIR: Final = "videos"
PARTS_DIR: Final = "parts"
CONTENTS_DIR: Final = "contents"
TABLES_INFO: Final = "extract.json"

DONE: Final = "done"
FILTERED: Final = "filtered"
QUARANTINED: Final = "quarantined"
STATUSES: Final = (DONE, FILTERED, QUARANTINED)

NOT_MEDIA: Final = "not_media"
LINKED_FOLDER: Final = "linked_folder"
DELETED: Final = "deleted"
REASONS: Final = {
    NOT_MEDIA: "filtered: the name ends like text, a picture or a sidecar file",
    LINKED_FOLDER: "filtered: a link to a folder, which is not followed; name that folder as an input of its own",
    "bad_name": "the file name is not valid UTF-8, so no table can hold it; rename the file",
    "missing": "the source vanished between listing and reading",
    "unreadable": "the source exists but may not be read",
    "not_a_file": "the path is no regular file (a pipe, a device, a socket, an empty folder named like a video)",
    "changed": "the source is not the one that was planned",
    "empty": "the file has no bytes",
    "too_large": "the file, or its decoded frames, would exceed the stated limit",
    "not_a_video": "no demuxer recognises the bytes",
    "no_video_stream": "a media file without moving pictures",
    "no_frames": "a video stream without a single frame that decodes",
    "degraded": "more than a tenth of the frames are missing or broken, as after a cut download",
    "size_change": "the picture size changes inside the stream",
    "decode_error": "the decoder gave up",
    "timeout": "decoding took longer than the limit and was ended",
    "crash": "the decoder process died",
    "cpu": "decoding took more processor time than the limit and was ended",
    "memory": "decoding took more memory than the limit and was ended",
    DELETED: "filtered: its clips were deleted on request; the file comes back only when it changes",
    "not_finite": "the model gave values that are not finite for this clip",
}
# What the storage, a limit or the machine may have caused: the same bytes can come out well another time.
PASSING_REASONS: Final = ("missing", "unreadable", "too_large", "timeout", "crash", "cpu", "memory")
# All others are of quarantined sources.
FILTERED_REASONS: Final = (NOT_MEDIA, LINKED_FOLDER, DELETED)
# The next listing filters it again, or no table can name it, or it was not to stay.
HOPELESS_REASONS: Final = (*FILTERED_REASONS, "bad_name")

PLAN_SCHEMA: Final = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("task_id", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("filter_reason", pa.string()),
        pa.field("metadata", pa.string(), nullable=False),  # JSON object: the user's own columns
        pa.field("attempt", pa.int32(), nullable=False),  # 1, and one more with each retry
    ]
)

VIDEOS_SCHEMA: Final = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("task_id", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("clip_count", pa.int32(), nullable=False),
        pa.field("duration_s", pa.float64()),
        pa.field("fps", pa.float64()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("container", pa.string()),
        pa.field("codec", pa.string()),
        pa.field("decoder", pa.string()),
        pa.field("decoder_why", pa.string()),
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("decode_s", pa.float64(), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
        pa.field("clip_objects", pa.int32()),  # objects that hold the clips of the task; null (older tables) is 1
        pa.field("content_sha256", pa.string()),  # of the file, where tables are told to know files by their content
    ]
)
# Columns that tables of older releases do not have.
NEWER_COLUMNS: Final = ("clip_objects", "content_sha256")


class TokenShape(BaseModel):
    """Sizes of a clip's embeddings: F frames, P patches a frame, D channels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: int
    patches: int
    dim: int


def clips_schema(shape: TokenShape, model_id: str) -> pa.Schema:
    """Schema of TABLES/clips for one model.

    Tokens are L2-normalised float16, C order, little endian, in fixed-size binary (a FixedSizeList would
    cost a child array and four times the bytes for small types); each field's metadata gives dtype and shape.
    `coarse` stays float32 and a list, so that any SQL engine can read it. `frames` are the CLIP frame tokens
    n(f), `temporal_frames` those behind the temporal transformer n(H), `patches` n(p). `mask` is 0 for padded
    frames; they are zeros, but in a model's reference profile the tokens of the public code's padding picture.

    Args:
        shape: F, P and D.
        model_id: stored in the schema's metadata, as in each row.
    """
    f, p, d = shape.frames, shape.patches, shape.dim

    def tokens(name: str, *dims: int) -> pa.Field:
        size = 2
        for dim in dims:
            size *= dim
        meta = {"dtype": "float16", "shape": json.dumps(dims), "normalized": "l2"}
        return pa.field(name, pa.binary(size), nullable=False, metadata=meta)

    return pa.schema(
        [
            pa.field("clip_id", pa.string(), nullable=False),
            pa.field("video_id", pa.string(), nullable=False),
            pa.field("uri", pa.string(), nullable=False),
            pa.field("start_s", pa.float64(), nullable=False),
            pa.field("end_s", pa.float64(), nullable=False),
            pa.field("fps", pa.float64(), nullable=False),
            pa.field("width", pa.int32(), nullable=False),
            pa.field("height", pa.int32(), nullable=False),
            pa.field("frame_times_s", pa.list_(pa.float64()), nullable=False),
            pa.field("mask", pa.list_(pa.uint8(), f), nullable=False),
            pa.field("coarse", pa.list_(pa.float32(), d), nullable=False),
            tokens("frames", f, d),
            tokens("temporal_frames", f, d),
            tokens("patches", f, p, d),
            pa.field("metadata", pa.string(), nullable=False),
            pa.field("model_id", pa.string(), nullable=False),
        ],
        metadata={"model_id": model_id, "token_shape": shape.model_dump_json()},
    )


class TablesInfo(BaseModel):
    """TABLES/extract.json: the settings that every row of these tables shares."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    model: str
    model_id: str
    token_shape: TokenShape
    clips: str
    sampler: str
    identity: str = "uri"
