"""Takes the clips of videos out of the tables for good. The rows of the videos stay and say so.

So every planned source is still accounted for once, and an extraction does not bring a video back while its file is the
same. Both objects of a task are replaced, the clips first: killed in between, the same call ends it.
"""

from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage import Store
from pipeline.tables import read_commit, read_parquet, read_plan_part, task_of_clips, write_parquet
from schemas.tables import CLIPS_DIR, DELETED, FILTERED, PLAN_DIR, VIDEOS_DIR, VIDEOS_SCHEMA


@dataclass(frozen=True)
class Erased:
    """What was changed: clips removed, and objects written anew."""

    clips: int
    objects: int


def erase(store: Store, video_ids: Set[str], detail: str) -> Erased:
    """Remove the clips of these videos from every task that ever held one of them, superseded ones included.

    Args:
        store: the tables.
        video_ids: planned ones.
        detail: what the rows of the videos will say; the same in each attempt.

    Raises:
        StorageError: the tables cannot be read or written; the same call goes on.
    """
    committed = set(store.names(VIDEOS_DIR, ".parquet"))
    tasks = _tasks_of(store, video_ids)
    clips = objects = 0
    for name, videos in _clips_objects(store, tasks):
        gone = _erase_clips(store, name, videos)
        clips += gone
        objects += bool(gone)
    for task, videos in sorted(tasks.items()):
        if f"{task}.parquet" in committed:
            objects += _mark_deleted(store, task, videos, detail)
    return Erased(clips, objects)


def clips_of(store: Store, video_ids: Set[str]) -> int:
    """How many rows of the tables `erase` would remove."""
    objects = _clips_objects(store, _tasks_of(store, video_ids))
    tables = ((read_parquet(store, name, ["video_id"]), videos) for name, videos in objects)
    return sum(pc.sum(_are(table, videos)).as_py() or 0 for table, videos in tables)


def _clips_objects(store: Store, tasks: Mapping[str, set[str]]) -> Iterator[tuple[str, set[str]]]:
    """Every object with clips of these tasks, and the videos meant; also what a killed run left of a long video."""
    for name in store.names(CLIPS_DIR, ".parquet"):
        if videos := tasks.get(task_of_clips(name)):
            yield f"{CLIPS_DIR}/{name}", videos


def _tasks_of(store: Store, video_ids: Set[str]) -> dict[str, set[str]]:
    tasks: dict[str, set[str]] = {}
    for name in store.names(PLAN_DIR, ".parquet"):
        part = read_plan_part(store, name)
        for video, task in zip(part["video_id"].to_pylist(), part["task_id"].to_pylist(), strict=True):
            if video in video_ids:
                tasks.setdefault(task, set()).add(video)
    return tasks


def _are(table: pa.Table, videos: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(table["video_id"], pa.array(sorted(videos), pa.string()))


def _erase_clips(store: Store, name: str, videos: Collection[str]) -> int:
    table = read_parquet(store, name)
    kept = table.filter(pc.invert(_are(table, videos)))
    if len(kept) < len(table):
        store.write(name, write_parquet(kept))
    return len(table) - len(kept)


def _mark_deleted(store: Store, task: str, videos: Collection[str], detail: str) -> bool:
    rows = read_commit(store, task).to_pylist()
    changed = False
    for row in rows:
        if row["video_id"] in videos and row["reason"] != DELETED:
            row.update(status=FILTERED, reason=DELETED, detail=detail, clip_count=0)
            changed = True
    if changed:
        store.write(f"{VIDEOS_DIR}/{task}.parquet", write_parquet(pa.Table.from_pylist(rows, VIDEOS_SCHEMA)))
    return changed
