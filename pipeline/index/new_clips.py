"""Looks at the clips of new tasks before an update of an index begins.

What cannot be written must not get into the journal, from which it would be tried again and again.
"""

from collections import Counter
from collections.abc import Mapping

import pyarrow as pa

from pipeline.index.codecs.names import codec_of
from pipeline.index.collection_changes import check_finite
from pipeline.index.fine_writer import to_records
from pipeline.index.milvus_rows import clip_rows, frame_rows
from pipeline.storage import Store
from pipeline.tables import iter_task_clips
from schemas.errors import IndexCorruptError, StorageError
from schemas.manifest import VersionManifest
from schemas.tables import clips_schema

# Bounds what stands beside the table: 64 clips of ViT-B/32 are 40 MB.
_SLAB = 64
# Its records are the tokens as the tables have them; what fits it fits every codec.
_CODEC = "fp16"


def check_new_clips(
    tables: Store, by_task: Mapping[str, list[str]], expected: Mapping[str, int], manifest: VersionManifest
) -> None:
    """Read all clips that an update would add, and make its records and rows of them without keeping any.

    Args:
        tables: the tables.
        by_task: the new tasks, and the videos of each that are wanted.
        expected: clips a video, as the videos table has them.
        manifest: of the version that would get them.

    Raises:
        StorageError: an object of clips is missing, damaged, of another model or of other columns.
        IndexCorruptError: a video has another number of clips than its commit says, or a clip is there twice.
        UsageError: a filterable field cannot take a value.
        VectorStoreError: a vector is not finite.
    """
    clips_a_video: Counter[str] = Counter()
    seen: set[str] = set()
    for task in sorted(by_task):
        for table in iter_task_clips(tables, task, by_task[task], manifest.model_id):
            _check_columns(table, f"the clips of task {task}", manifest)
            _refuse_twice(table["clip_id"].to_pylist(), seen)
            for start in range(0, len(table), _SLAB):
                _try_rows(table.slice(start, _SLAB), manifest)
            clips_a_video.update(table["video_id"].to_pylist())
    check_counts(clips_a_video, expected)


def check_counts(counted: Mapping[str, int], expected: Mapping[str, int]) -> None:
    """Compare the clips of each video with what its commit says.

    >>> check_counts({"v1": 3}, {"v1": 3, "v2": 0})

    Raises:
        IndexCorruptError: they differ.
    """
    for video, clips in expected.items():
        if counted.get(video, 0) != clips:
            raise IndexCorruptError(
                f"video {video} has {counted.get(video, 0)} clips in the tables, its commit says {clips}: "
                "run it again when extraction has ended, or extract anew"
            )


def _check_columns(table: pa.Table, where: str, manifest: VersionManifest) -> None:
    for field in clips_schema(manifest.token_shape, manifest.model_id):
        found = table.schema.field(field.name).type if field.name in table.schema.names else None
        if found != field.type:
            raise StorageError(f"{where}: column {field.name} is {found or 'missing'}, not {field.type}: extract anew")


def _refuse_twice(clip_ids: list[str], seen: set[str]) -> None:
    for clip in clip_ids:
        if clip in seen:
            raise IndexCorruptError(f"clip {clip} is in the tables twice: extract anew")
        seen.add(clip)


def _try_rows(part: pa.Table, manifest: VersionManifest) -> None:
    shape, masked = manifest.token_shape, manifest.scoring.fusion.masked
    for batch in part.to_batches():
        to_records(batch, shape, codec_of(_CODEC), masked=masked)
    check_finite(clip_rows(part, [(0, 0)] * len(part), manifest.fields))
    if manifest.frames and (rows := frame_rows(part, shape.frames, shape.dim, manifest.fields)):
        check_finite(rows)
