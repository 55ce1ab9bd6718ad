"""One committed task: its videos object against the plan, and its clips object against both."""

import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage import Store
from pipeline.tables import clips_names
from pipeline.verify.clip_rows import metadata_problems, row_problems
from pipeline.verify.report import Findings
from schemas.errors import StorageError
from schemas.tables import (
    DELETED,
    DONE,
    NEWER_COLUMNS,
    REASONS,
    STATUSES,
    VIDEOS_DIR,
    VIDEOS_SCHEMA,
    TablesInfo,
    clips_schema,
)

_Row = dict[str, Any]
# Tokens of ViT-B/16 in float32: 64 clips are 300 MB, 16 are 75.
_ROWS = 16
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class PlannedTask:
    """A task as it was planned.

    Attributes:
        task_id: its id.
        sources: rows of the plan by video_id, also those that were planned anew since.
        current: the video_ids whose newest plan this is.
    """

    task_id: str
    sources: dict[str, _Row]
    current: set[str]


def check_task(store: Store, task: PlannedTask, info: TablesInfo, found: Findings) -> None:
    """Read both objects of a committed task, and add what is wrong with them and what they hold.

    Raises:
        StorageError: the storage itself is away.
    """
    name = f"{VIDEOS_DIR}/{task.task_id}.parquet"
    found.objects += 1
    try:
        batches = _batches(store, name, VIDEOS_SCHEMA)
        rows = [row for batch in batches for row in batch.to_pylist()]
    except _UnreadableError as error:
        found.problems.append(f"{name}: {error}")
        return
    found.problems += [f"{name}{text}" for text in videos_problems(rows, task)]
    if info.identity == "content":
        found.problems += [f"{name}{text}" for text in _hash_problems(rows)]
    expected = {row["video_id"]: row["clip_count"] for row in rows if row["status"] == DONE}
    if found.clip_ids is not None:
        found.deleted.update(
            row["video_id"] for row in rows if row["reason"] == DELETED and row["video_id"] in task.current
        )
    objects = max((row.get("clip_objects") or 1 for row in rows), default=1)
    if objects > 1:
        found.clip_objects[task.task_id] = objects
    _check_clips(store, clips_names(task.task_id, objects), task, expected, info, found)


def videos_problems(rows: list[_Row], task: PlannedTask) -> Iterator[str]:
    """What is wrong with the rows of a videos object: each source of the task is there exactly once."""
    times = Counter(row["video_id"] for row in rows)
    for video, source in task.sources.items():
        if times[video] != 1:
            yield f": {source['uri']} ({video}) is planned in this task and has {times[video]} rows"
    for number, row in enumerate(rows):
        where = f" row {number} ({row['uri']})"
        planned = task.sources.get(row["video_id"])
        if planned is None or row["task_id"] != task.task_id:
            yield f"{where}: it is not planned in this task"
            continue
        wrong = [name for name in ("uri", "etag", "attempt") if row[name] != planned[name]]
        yield from (f"{where}: {name} is {row[name]!r}, planned was {planned[name]!r}" for name in wrong)
        yield from (f"{where}: {text}" for text in [*_status_problems(row), *metadata_problems(row["metadata"])])
        if (row.get("clip_objects") or 1) != 1 and len(rows) > 1:
            yield f"{where}: it has {row['clip_objects']} objects of clips, which only a task of one source may have"


def _hash_problems(rows: list[_Row]) -> Iterator[str]:
    for number, row in enumerate(rows):
        if row["status"] == DONE and not _SHA256.fullmatch(row.get("content_sha256") or ""):
            yield f" row {number} ({row['uri']}): content_sha256 is {row.get('content_sha256')!r}"


def _status_problems(row: _Row) -> Iterator[str]:
    status, reason, clips = row["status"], row["reason"], row["clip_count"]
    if status not in STATUSES:
        yield f"unknown status {status!r}"
    elif status == DONE:
        if reason is not None or clips < 1:
            yield f"it is done, with reason {reason!r} and {clips} clips"
    elif reason not in REASONS or clips != 0:
        yield f"it is {status}, with reason {reason!r} and {clips} clips"


def _check_clips(
    store: Store, names: list[str], task: PlannedTask, expected: dict[str, int], info: TablesInfo, found: Findings
) -> None:
    clips_a_video: Counter[str] = Counter()
    seen: set[str] = set()
    for name in names:
        if not _check_object(store, name, task, expected, info, found, clips_a_video, seen):
            return
    for video, count in expected.items():
        if clips_a_video[video] != count:
            found.problems.append(f"{names[0]}: {clips_a_video[video]} clips of video {video}, its commit says {count}")


def _check_object(
    store: Store,
    name: str,
    task: PlannedTask,
    expected: dict[str, int],
    info: TablesInfo,
    found: Findings,
    clips_a_video: Counter[str],
    seen: set[str],
) -> bool:
    """Check the rows of one object and count them; whether it can be read."""
    found.objects += 1
    first = 0
    try:
        for batch in _batches(store, name, clips_schema(info.token_shape, info.model_id)):
            ids, videos = batch.column("clip_id").to_pylist(), batch.column("video_id").to_pylist()
            for row, text in [*row_problems(batch, info), *_id_problems(ids, videos, seen, expected)]:
                found.problems.append(f"{name} row {first + row} ({ids[row]}): {text}")
            if found.clip_ids is not None:
                found.clip_ids.update(clip for clip, video in zip(ids, videos, strict=True) if video in task.current)
            clips_a_video.update(videos)
            first += len(ids)
    except _UnreadableError as error:
        found.problems.append(f"{name}: {error}")
        return False
    finally:
        found.clips += first
    return True


def _id_problems(
    ids: list[str], videos: list[str], seen: set[str], expected: dict[str, int]
) -> Iterator[tuple[int, str]]:
    for row, (clip, video) in enumerate(zip(ids, videos, strict=True)):
        if clip in seen:
            yield row, "the clip is there twice"
        if video not in expected:
            yield row, f"its video {video} is not done in this task"
        seen.add(clip)


class _UnreadableError(Exception):
    """An object cannot be read as what it should be."""


def _batches(store: Store, name: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """An object's rows, a few at a time; checksums of pages are compared where the object has them."""
    try:
        data = store.read(name)
    except StorageError as error:
        if isinstance(error.__cause__, ConnectionError | TimeoutError):
            raise
        why = "is missing" if isinstance(error.__cause__, FileNotFoundError) else str(error)
        raise _UnreadableError(why) from error
    try:
        file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        if difference := schema_difference(file.schema_arrow, schema):
            raise _UnreadableError(difference)
        yield from file.iter_batches(batch_size=_ROWS)
    except (pa.ArrowException, OSError) as error:
        raise _UnreadableError(f"cannot be read as Parquet: {' '.join(str(error).split())[:200]}") from error


def schema_difference(found: pa.Schema, expected: pa.Schema) -> str:
    """What is wrong with a schema, or nothing.

    >>> schema_difference(pa.schema([("a", pa.int32())]), pa.schema([("a", pa.int64())]))
    "column 'a' is int32, not int64"
    """
    if found.names != expected.names and found.names != [n for n in expected.names if n not in NEWER_COLUMNS]:
        missing = [name for name in expected.names if name not in found.names]
        extra = [name for name in found.names if name not in expected.names]
        return f"columns are missing ({missing}), too many ({extra}) or in another order"
    for field in (expected.field(name) for name in found.names):
        other = found.field(field.name)
        if other.type != field.type or other.nullable != field.nullable:
            kind, wanted = (f"{one.type}{' or null' if one.nullable else ''}" for one in (other, field))
            return f"column {field.name!r} is {_without_null(kind, wanted)}"
    for key, value in (expected.metadata or {}).items():
        if (found.metadata or {}).get(key) != value:
            return f"its schema says {key.decode()} = {(found.metadata or {}).get(key)!r}, the tables {value!r}"
    return ""


def _without_null(kind: str, wanted: str) -> str:
    # Only where nullability is what differs does it belong into the line.
    short, short_wanted = kind.removesuffix(" or null"), wanted.removesuffix(" or null")
    return f"{short}, not {short_wanted}" if short != short_wanted else f"{kind}, not {wanted}"
