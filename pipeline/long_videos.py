"""Long videos: their parts are committed one by one, and the video with the last of them.

    TABLES/parts/<task>.json             how the video is cut: written when its clips have been counted
    TABLES/clips/<task>.<i>-of-<K>.parquet   the clips of a part
    TABLES/parts/<task>.<i>-of-<K>.parquet   the part's own row of the video; written behind its clips, it IS its commit
    TABLES/videos/<task>.parquet         one row, made of those of all parts; it IS the commit of the task

A run that is killed leaves parts, and the next one does the others. With the video committed, what stands in `parts/`
has no meaning any more and goes; what a kill leaves of it there does no harm.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipeline.contents import remember
from pipeline.stages.cut import Cut, Part
from pipeline.stages.payload import TaskPayload, from_ipc
from pipeline.storage import Store
from pipeline.tables import clips_names, read_parquet, task_of_clips, write_parquet
from schemas.errors import StorageError
from schemas.tables import DONE, PARTS_DIR, QUARANTINED, VIDEOS_DIR, VIDEOS_SCHEMA

_PARQUET = ".parquet"


def commit_part(store: Store, payload: TaskPayload, part: Part) -> None:
    """Write a part: its clips, then its row.

    Raises:
        StorageError: the part is not committed.
    """
    store.write(clips_names(payload.task_id, part.of)[part.number - 1], write_parquet(from_ipc(payload.clips)))
    store.write(_row_name(payload.task_id, part.number, part.of), write_parquet(from_ipc(payload.videos)))


def _row_name(task: str, number: int, of: int) -> str:
    return f"{PARTS_DIR}/{task}.{number}-of-{of}{_PARQUET}"


class LongVideos:
    """The long videos of some tables that are under way.

    Args:
        store: the tables.
        most_clips: of a part, in this run.
    """

    def __init__(self, store: Store, most_clips: int) -> None:
        self._store = store
        self._most_clips = most_clips
        names = store.names(PARTS_DIR)
        self._rows = {name for name in names if name.endswith(_PARQUET)}
        self._cuts = {task: self._read(task) for task in map(task_of_clips, names) if f"{task}.json" in names}

    def _read(self, task: str) -> Cut:
        name = f"{PARTS_DIR}/{task}.json"
        try:
            return Cut.from_json(self._store.read(name).decode())
        except ValueError as error:
            raise StorageError(f"{self._store.path(name)} is damaged ({error}): remove it") from None

    def add(self, task: str, cut: str) -> None:
        """Note how a video is to be cut.

        Args:
            task: of one source.
            cut: `Cut` as JSON.
        """
        self._cuts[task] = Cut.from_json(cut)
        self._store.write(f"{PARTS_DIR}/{task}.json", cut.encode() + b"\n")

    def work(self, task: str) -> list[str] | None:
        """The parts of a task that are still to be done, as JSON; None for a task that is not cut.

        A cut of a run that had more memory is made finer, and its parts go.
        """
        cut = self._cuts.get(task)
        if cut is None:
            return None
        finer = cut.within(self._most_clips)
        if finer != cut:
            self._remove(task, cut.parts, clips=True)
            self.add(task, finer.to_json())
        parts = map(finer.part, range(1, finer.parts + 1))
        return [part.to_json() for part in parts if f"{task}.{part.suffix}{_PARQUET}" not in self._rows]

    def finish(self, tasks: Sequence[str], empty: pa.Table) -> list[dict[str, Any]]:
        """Commit those of the tasks whose parts are all there, or of which one is bad.

        Args:
            tasks: ids; those that are not cut are passed over.
            empty: a table of clips without a row.

        Returns:
            the row of each video that was committed.

        Raises:
            StorageError: the tables cannot be read or written; the next call goes on.
        """
        self._rows = set(self._store.names(PARTS_DIR, _PARQUET))
        rows = (self._finish(task, self._cuts[task].parts, empty) for task in tasks if task in self._cuts)
        return [row for row in rows if row is not None]

    def _finish(self, task: str, parts: int, empty: pa.Table) -> dict[str, Any] | None:
        names = [_row_name(task, number, parts) for number in range(1, parts + 1)]
        there = [name for name in names if name.removeprefix(f"{PARTS_DIR}/") in self._rows]
        rows = [row for name in there for row in read_parquet(self._store, name).to_pylist()]
        row = merged(rows, parts)
        if row is None:
            return None
        if row["status"] != DONE:
            self._store.write(clips_names(task)[0], write_parquet(empty))
        self._store.write(
            f"{VIDEOS_DIR}/{task}{_PARQUET}", write_parquet(pa.Table.from_pylist([row], schema=VIDEOS_SCHEMA))
        )
        remember(self._store, [row])
        self._remove(task, parts, clips=row["status"] != DONE)
        if row["status"] == DONE:
            self._store.delete(clips_names(task)[0])  # as a run left it that was killed and did not cut the video
        self._store.delete(f"{PARTS_DIR}/{task}.json")
        del self._cuts[task]
        return row

    def _remove(self, task: str, parts: int, *, clips: bool) -> None:
        # Rows first: clips without one are trusted by nobody.
        for number in range(1, parts + 1):
            self._store.delete(_row_name(task, number, parts))
        for name in clips_names(task, parts) if clips and parts > 1 else []:
            self._store.delete(name)
        self._rows = {name for name in self._rows if task_of_clips(name) != task}


def merged(rows: Sequence[dict[str, Any]], parts: int) -> dict[str, Any] | None:
    """The row of a video from those of its parts; None while parts are missing and none is bad.

    Args:
        rows: of VIDEOS_SCHEMA, in the order of the parts.
        parts: how many there are to be.
    """
    bad = next((row for row in rows if row["status"] == QUARANTINED), None)
    seconds = sum(row["decode_s"] for row in rows)
    if bad is not None:
        return bad | {"clip_count": 0, "clip_objects": 1, "decode_s": seconds}
    if len(rows) < parts:
        return None
    clips = sum(row["clip_count"] for row in rows)
    return rows[0] | {"clip_count": clips, "clip_objects": parts, "decode_s": seconds}
