"""The plan: whole, consistent, and which tasks it makes."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pipeline.stages.plan import task_of
from pipeline.storage import Store
from pipeline.tables import current_plan, part_name, read_plan_part
from pipeline.verify.report import Findings
from pipeline.verify.task import PlannedTask
from schemas.errors import StorageError
from schemas.ids import video_id
from schemas.tables import PLAN_DIR


def check_plan(store: Store, found: Findings) -> dict[str, PlannedTask] | None:
    """All tasks that were ever planned, by id; None where a part cannot be read, and so nothing else can be told.

    Raises:
        StorageError: the storage itself is away.
    """
    names = store.names(PLAN_DIR, ".parquet")
    known = {part_name(number) for number in range(len(names))}
    found.problems += [f"{PLAN_DIR}/{name} is missing: sources may be lost" for name in sorted(known - set(names))]
    parts: list[pa.Table] = []
    for name in names:
        try:
            parts.append(read_plan_part(store, name))
        except StorageError as error:
            if isinstance(error.__cause__, ConnectionError | TimeoutError):
                raise
            why = str(error).removeprefix(f"{store.path(f'{PLAN_DIR}/{name}')} ")
            found.problems.append(f"{PLAN_DIR}/{name}: {why}; nothing else can be checked without it")
            return None
        found.problems += [f"{PLAN_DIR}/{name}{text}" for text in part_problems(parts[-1].to_pylist())]
    return _tasks(parts, names)


def part_problems(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What is wrong with the rows of one part: ids are computed, and no source is planned twice at once."""
    seen: set[str] = set()
    groups: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(rows):
        if row["video_id"] != video_id(row["uri"]):
            yield f" row {number} ({row['uri']}): its video_id is not that of its uri"
        if row["video_id"] in seen:
            yield f" row {number} ({row['uri']}): it is planned twice in this part"
        seen.add(row["video_id"])
        groups.setdefault(row["task_id"], []).append(row)
    for task, group in groups.items():
        if task_of(group) != task:
            yield f": task {task} is not made of the {len(group)} sources it has here; rows are lost or changed"


def _tasks(parts: list[pa.Table], names: list[str]) -> dict[str, PlannedTask]:
    tasks: dict[str, PlannedTask] = {}
    for part in parts:
        for row in part.to_pylist():
            task = tasks.setdefault(row["task_id"], PlannedTask(row["task_id"], {}, set()))
            task.sources[row["video_id"]] = row
    current = current_plan(parts, names).rows
    for video, name in zip(current["video_id"].to_pylist(), current["task_id"].to_pylist(), strict=True):
        tasks[name].current.add(video)
    return tasks
