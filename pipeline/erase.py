"""Takes the clips of videos out of the tables for good. The rows of the videos stay and say so.

So every planned source is still accounted for once, and an extraction does not bring a video back while its file is the
same. Both objects of a task are replaced, the clips first: killed in between, the same call ends it.
"""

from collections.abc import Collection, Set
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage import Store
from pipeline.tables import read_parquet, read_plan_part, write_parquet
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
    present = {folder: set(store.names(folder, ".parquet")) for folder in (CLIPS_DIR, VIDEOS_DIR)}
    clips = objects = 0
    for task, videos in sorted(_tasks_of(store, video_ids).items()):
        name = f"{task}.parquet"
        if name in present[CLIPS_DIR]:
            gone = _erase_clips(store, f"{CLIPS_DIR}/{name}", videos)
            clips += gone
            objects += bool(gone)
        if name in present[VIDEOS_DIR]:
            objects += _mark_deleted(store, f"{VIDEOS_DIR}/{name}", videos, detail)
    return Erased(clips, objects)


def clips_of(store: Store, video_ids: Set[str]) -> int:
    """How many rows of the tables `erase` would remove."""
    present = set(store.names(CLIPS_DIR, ".parquet"))
    tasks = {task: videos for task, videos in _tasks_of(store, video_ids).items() if f"{task}.parquet" in present}
    tables = ((read_parquet(store, f"{CLIPS_DIR}/{task}.parquet"), videos) for task, videos in tasks.items())
    return sum(pc.sum(_are(table, videos)).as_py() or 0 for table, videos in tables)


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


def _mark_deleted(store: Store, name: str, videos: Collection[str], detail: str) -> bool:
    rows = read_parquet(store, name).to_pylist()
    changed = False
    for row in rows:
        if row["video_id"] in videos and row["reason"] != DELETED:
            row.update(status=FILTERED, reason=DELETED, detail=detail, clip_count=0)
            changed = True
    if changed:
        store.write(name, write_parquet(pa.Table.from_pylist(rows, VIDEOS_SCHEMA)))
    return changed
