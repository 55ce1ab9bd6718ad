"""Commit: a task's clips object, then its videos object, whose presence makes the task done."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contents import remember
from pipeline.long_videos import commit_part
from pipeline.stages.cut import Part
from pipeline.stages.payload import TaskPayload, from_ipc
from pipeline.storage import WORKER_PATIENCE_S, Store
from pipeline.tables import clip_objects, clips_names, write_parquet
from schemas.tables import STATUSES, VIDEOS_DIR

_SLOWEST: Final = 5
_NO_NOTES: Final[dict[str, Any]] = {"reasons": {}, "slowest": []}


def commit_task(store: Store, payload: TaskPayload) -> dict[str, int]:
    """Write a task, or a part of a long video.

    Killed between the two writes it leaves clips that no reader trusts and a retry overwrites.

    Returns:
        number of sources a status, and of clips; of a part no source, since the video is committed with the last one.

    Raises:
        StorageError: nothing was committed.
    """
    if part := Part.from_json(payload.part):
        commit_part(store, payload, part)
        return dict.fromkeys(STATUSES, 0) | {"clips": len(from_ipc(payload.clips))}
    videos = from_ipc(payload.videos)
    if clip_objects(videos) == 1:
        # Else decoding has copied a long video, an object at a time.
        store.write(clips_names(payload.task_id)[0], write_parquet(_clips(payload)))
    store.write(f"{VIDEOS_DIR}/{payload.task_id}.parquet", write_parquet(videos))
    remember(store, videos.to_pylist())
    statuses = videos["status"].to_pylist()
    return {status: statuses.count(status) for status in STATUSES} | {
        "clips": pc.sum(videos["clip_count"]).as_py() or 0
    }


def _clips(payload: TaskPayload) -> pa.Table:
    encoded = from_ipc(payload.clips)
    if not payload.copied:
        return encoded
    return pa.concat_tables([encoded, from_ipc(payload.copied).cast(encoded.schema)])


def run_notes(videos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts by reason, and (seconds, URI, outcome) of the slowest, of rows of VIDEOS_SCHEMA."""
    slowest = sorted(videos, key=lambda row: float(row["decode_s"]), reverse=True)[:_SLOWEST]
    return {
        "reasons": Counter(row["reason"] for row in videos if row["reason"]),
        "slowest": [(round(row["decode_s"], 3), row["uri"], row["reason"] or row["status"]) for row in slowest],
    }


def commit_batch(batch: dict[str, Any], tables: str) -> dict[str, Any]:
    """Commit the task of a one-row batch; nothing raises, since that would end the whole run.

    Args:
        batch: a `TaskPayload` as one row.
        tables: the root of the tables.

    Returns:
        one row: task_id, error, split, cut, part, done, filtered, quarantined, clips; busy_s as in the payload, and
        notes (JSON: counts by reason, and the sources that took longest to decode), for the account of the run.
    """
    start = time.perf_counter()
    payload = TaskPayload.of_batch(batch)
    counts = dict.fromkeys((*STATUSES, "clips"), 0)
    error, notes = payload.error, _NO_NOTES
    if not payload.is_void:
        try:
            counts = commit_task(Store(tables, WORKER_PATIENCE_S), payload)
            notes = _NO_NOTES if payload.part else run_notes(from_ipc(payload.videos).to_pylist())
        except Exception as problem:  # noqa: BLE001  (said above)
            error = payload.failed("commit", problem).error
    payload = payload.timed("commit", time.perf_counter() - start)
    names = ("task_id", "split", "cut", "part")
    row: dict[str, Any] = {name: getattr(payload, name) for name in names} | {"error": error} | counts
    row |= {"busy_s": payload.busy_s, "notes": json.dumps(notes)}
    return {name: np.array([value]) for name, value in row.items()}


class CommitStage:
    """One actor that commits. A process of its own, since Ray ends and starts those of idle tasks, at seconds each.

    It lives here, and not where the graph is wired, so that the workers that run it need not import torch.
    """

    def __init__(self, tables: str) -> None:
        self._tables = tables

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Commit the task of a one-row batch, as `commit_batch` does."""
        return commit_batch(batch, self._tables)
