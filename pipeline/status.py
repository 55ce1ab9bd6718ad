"""What tables hold and what is still to do, from the plan and the commits alone; also while an extraction runs."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage import Store
from pipeline.tables import read_plan, read_videos
from schemas.errors import StorageError
from schemas.results import StatusSummary
from schemas.tables import DONE, FILTERED, QUARANTINED, VIDEOS_DIR

_HOUR_S = 3600.0
# A longer pause between two commits parts two runs; decoding alone may take minutes a task.
_PAUSE_S = 600.0
# Actors start together and so end their first tasks: what came within seconds of each other tells no pace.
_LEAST_STRETCH_S = 10.0


def status_of(store: Store) -> StatusSummary:
    """Like `tables_status`, but nothing planned is an error.

    Raises:
        StorageError: nothing was ever planned there, or the tables cannot be read.
    """
    status = tables_status(store)
    if not status.planned:
        raise StorageError(
            f"{store.root} holds no planned sources: run 'reelsift extract --input VIDEOS --tables {store.root}' first"
        )
    return status


def tables_status(store: Store) -> StatusSummary:
    """Counts of the tables: every planned source is done, filtered, quarantined or pending.

    Raises:
        StorageError: the tables cannot be read.
    """
    # The plan is read first and once: what another process plans or commits meanwhile cannot make the counts disagree.
    plan = read_plan(store)
    videos = read_videos(store, plan)
    statuses = Counter(videos["status"].to_pylist())
    done = videos.filter(pc.equal(videos["status"], DONE))
    reasons = Counter(reason for reason in videos["reason"].to_pylist() if reason)
    return StatusSummary(
        planned=len(plan.rows),
        done=statuses[DONE],
        filtered=statuses[FILTERED],
        quarantined=statuses[QUARANTINED],
        pending=len(plan.rows) - len(videos),
        clips=int(_total(videos["clip_count"])),
        reasons=dict(sorted(reasons.items())),
        video_hours=round(_total(done["duration_s"]) / _HOUR_S, 4),
        source_bytes=int(_total(done["size_bytes"])),
        decode_hours=round(_total(videos["decode_s"]) / _HOUR_S, 4),
        sources_a_minute=pace(_commits(store, videos)),
    )


def pace(commits: list[tuple[float, int]]) -> float | None:
    """Sources a minute over the newest commits that follow each other without a long pause.

    >>> pace([(0.0, 9), (9000.0, 2), (9030.0, 3), (9060.0, 3)])
    6.0
    >>> pace([(5.0, 1)]) is None, pace([(5.0, 9), (5.5, 9)]) is None
    (True, True)

    Args:
        commits: when (seconds) and how many sources, in any order.
    """
    newest_first = sorted(commits, reverse=True)
    stretch = newest_first[:1]
    for commit in newest_first[1:]:
        if stretch[-1][0] - commit[0] > _PAUSE_S:
            break
        stretch.append(commit)
    if not stretch or stretch[0][0] - stretch[-1][0] < _LEAST_STRETCH_S:
        return None
    # The oldest commit's own work lies before the stretch.
    sources = sum(count for _, count in stretch[:-1])
    return round(60 * sources / (stretch[0][0] - stretch[-1][0]), 2)


def _commits(store: Store, videos: pa.Table) -> list[tuple[float, int]]:
    written = store.written(VIDEOS_DIR)
    sizes = Counter(videos["task_id"].to_pylist())
    return [(written[f"{task}.parquet"], count) for task, count in sizes.items() if f"{task}.parquet" in written]


def _total(column: pa.ChunkedArray) -> float:
    total: float | None = pc.sum(column).as_py()
    return total or 0.0
