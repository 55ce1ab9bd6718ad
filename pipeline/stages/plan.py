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


def videos_per_task(num_sources: int) -> int:
    """Sources a task: small for small inputs, so that they spread; at most 32, so that a task fits in memory.

    >>> videos_per_task(10), videos_per_task(200), videos_per_task(10**7)
    (1, 7, 32)
    """
    return max(1, min(_MAX_VIDEOS_A_TASK, -(-num_sources // _TARGET_TASKS)))


def new_sources(sources: Sequence[Source], planned: pa.Table) -> list[Source]:
    """Sources whose (uri, etag) is not in the current plan: the anti-join that makes a rerun a resume."""
    known = set(zip(planned["uri"].to_pylist(), planned["etag"].to_pylist(), strict=True))
    return [source for source in sources if (source.uri, source.etag) not in known]


def plan_rows(sources: Sequence[Source], per_task: int) -> pa.Table:
    """Rows of PLAN_SCHEMA: consecutive groups of `per_task` sources share a task.

    The task's id is computed from its sources, so the same listing always gives the same plan.
    """
    rows = []
    for start in range(0, len(sources), per_task):
        group = sources[start : start + per_task]
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


def retry_rows(planned: pa.Table, per_task: int) -> pa.Table:
    """Rows of PLAN_SCHEMA that plan these sources once more, in tasks of their own.

    The attempt is part of the new tasks' ids: they have no commit yet, and the old commits stay as they are.

    Args:
        planned: current rows of the plan.
        per_task: sources a task.
    """
    rows = [row | {"attempt": row["attempt"] + 1} for row in planned.to_pylist()]
    for start in range(0, len(rows), per_task):
        group = rows[start : start + per_task]
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
