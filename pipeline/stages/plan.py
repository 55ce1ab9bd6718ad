"""Plan: which sources are new or changed, and how they are grouped into tasks. Pure."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.sources import Source
from schemas.ids import task_id, video_id
from schemas.tables import PLAN_SCHEMA

_TARGET_TASKS = 32
_MAX_VIDEOS_A_TASK = 32
# Of what is left at the end a task takes at most this share, so that the last ones end at about the same time.
_TAIL_SHARE = 4


def task_sizes(num_sources: int, per_task: int | None = None) -> list[int]:
    """How many sources each task holds.

    Few for small inputs, so that they spread; at most 32, so that a task fits in memory; and ever fewer in the last
    tasks (guided self-scheduling, Polychronopoulos and Kuck 1987): a large task that begins last keeps one encoder busy
    while the others have nothing to do.

    Args:
        num_sources: to be divided.
        per_task: the same for all tasks, if the user wants it so.

    >>> task_sizes(10, 4), task_sizes(0)
    ([4, 4, 2], [])
    >>> task_sizes(100)[:2], task_sizes(100)[-8:], sum(task_sizes(100)), len(task_sizes(100))
    ([4, 4], [4, 3, 3, 2, 1, 1, 1, 1], 100, 29)
    >>> max(task_sizes(10**6))
    32
    """
    largest = per_task or max(1, min(_MAX_VIDEOS_A_TASK, -(-num_sources // _TARGET_TASKS)))
    sizes, left = [], num_sources
    while left:
        sizes.append(min(largest, left if per_task else -(-left // _TAIL_SHARE)))
        left -= sizes[-1]
    return sizes


def new_sources(sources: Sequence[Source], planned: pa.Table) -> list[Source]:
    """Sources whose (uri, etag) is not in the current plan: the anti-join that makes a rerun a resume."""
    known = set(zip(planned["uri"].to_pylist(), planned["etag"].to_pylist(), strict=True))
    return [source for source in sources if (source.uri, source.etag) not in known]


def plan_rows(sources: Sequence[Source], per_task: int | None = None) -> pa.Table:
    """Rows of PLAN_SCHEMA: consecutive sources share a task, as many as `task_sizes` says.

    The task's id is computed from its sources, so the same listing always gives the same plan.
    """
    rows: list[dict[str, Any]] = []
    for size in task_sizes(len(sources), per_task):
        group = sources[len(rows) : len(rows) + size]
        task = task_id((video_id(source.uri), source.etag) for source in group)
        rows += [
            {
                "uri": source.uri,
                "video_id": video_id(source.uri),
                "task_id": task,
                "size_bytes": source.size_bytes,
                "etag": source.etag,
                "filter_reason": source.filter_reason,
                "metadata": json.dumps(source.metadata, sort_keys=True, default=str, ensure_ascii=False),
                "attempt": 1,
            }
            for source in group
        ]
    return pa.Table.from_pylist(rows, schema=PLAN_SCHEMA)


def retry_rows(planned: pa.Table, per_task: int | None = None) -> pa.Table:
    """Rows of PLAN_SCHEMA that plan these sources once more, in tasks of their own.

    The attempt is part of the new tasks' ids: they have no commit yet, and the old commits stay as they are.

    Args:
        planned: current rows of the plan.
        per_task: as in `task_sizes`.
    """
    rows = [row | {"attempt": row["attempt"] + 1} for row in planned.to_pylist()]
    start = 0
    for size in task_sizes(len(rows), per_task):
        group = rows[start : start + size]
        start += size
        task = task_of(group)
        for row in group:
            row["task_id"] = task
    return pa.Table.from_pylist(rows, schema=PLAN_SCHEMA)


def split_rows(planned: pa.Table, tasks: Collection[str]) -> pa.Table:
    """Rows of PLAN_SCHEMA that plan each source of these tasks once more, in a task of its own.

    Args:
        planned: the current plan.
        tasks: ids of tasks that are too large.
    """
    rows = [row for row in planned.to_pylist() if row["task_id"] in tasks]
    return pa.Table.from_pylist([row | {"task_id": task_of([row])} for row in rows], schema=PLAN_SCHEMA)


def task_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """The id of the task that holds these rows of PLAN_SCHEMA, and no others."""
    return task_id(
        (row["video_id"], row["etag"] if row["attempt"] == 1 else f"{row['etag']}#{row['attempt']}") for row in rows
    )


def pending_tasks(plan: pa.Table, committed: set[str]) -> list[tuple[str, str]]:
    """(task_id, its plan rows as JSON) of the tasks without a commit, in plan order."""
    groups: dict[str, list[dict[str, object]]] = {}
    for row in plan.to_pylist():
        if row["task_id"] not in committed:
            groups.setdefault(row["task_id"], []).append(row)
    return [(task, json.dumps(rows, ensure_ascii=False)) for task, rows in groups.items()]
