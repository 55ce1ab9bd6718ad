"""A whole verification: the plan, then task by task, then the index. Reads everything, changes nothing."""

from collections.abc import Callable, Mapping, Set
from typing import Final

from pipeline.extract_lease import is_driven
from pipeline.storage import Store
from pipeline.tables import committed_tasks, require_info
from pipeline.verify.orphans import orphans
from pipeline.verify.plan import check_plan
from pipeline.verify.report import Findings
from pipeline.verify.task import PlannedTask, check_task
from schemas.config import VerifyConfig
from schemas.results import VerifyReport
from schemas.tables import PLAN_DIR, VIDEOS_DIR, TablesInfo

_NAMED: Final = 3
# tasks checked, tasks in all
Progress = Callable[[int, int], None]


def verify(config: VerifyConfig, progress: Progress = lambda done, total: None) -> VerifyReport:
    """Check that every planned source is accounted for once, and that everything stored is what it should be.

    Memory is bounded by the largest object, the plan and the ids of the clips, not by the tables.

    Raises:
        StorageError: there are no tables, or the storage is away.
        IndexMissingError: the index has no published version.
        VectorStoreError: Milvus is away.
    """
    store = Store(config.tables)
    info = require_info(store)
    found = Findings(clip_ids=set() if config.index else None)
    # Before the plan and the commits: one that ends meanwhile has left nothing pending.
    is_running = is_driven(store)
    tasks = check_plan(store, found)
    if tasks is not None:
        committed = committed_tasks(store)
        if committed and not tasks:
            found.problems.append(
                f"{PLAN_DIR}/ holds no plan, although {len(committed)} tasks are committed: restore it, or run "
                "'reelsift extract' with the same inputs, which plans them again"
            )
        _tell_pending(tasks, committed, found, is_running=is_running)
        _check_tasks(store, [tasks[task] for task in tasks if task in committed], info, found, progress)
        found.orphans += orphans(store, tasks, committed, found.clip_objects)
    version = None
    if config.index and tasks is not None:
        # Not at the top: pymilvus takes a second to import, and tables alone do not need it.
        from pipeline.verify.index import check_index  # noqa: PLC0415

        version = check_index(Store(config.index), info, found)
    return VerifyReport(
        ok=not found.problems,
        problems=found.problems,
        orphans=found.orphans,
        planned=sum(len(task.current) for task in (tasks or {}).values()),
        pending=found.pending,
        objects=found.objects,
        clips=found.clips,
        index_version=version,
    )


def _tell_pending(tasks: Mapping[str, PlannedTask], committed: Set[str], found: Findings, *, is_running: bool) -> None:
    """What has no commit: that is a problem, unless somebody is at work on it."""
    missing = [task for name, task in tasks.items() if task.current and name not in committed]
    found.pending = sum(len(task.current) for task in missing)
    if not missing or is_running:
        return
    names = ", ".join(f"{VIDEOS_DIR}/{task.task_id}.parquet" for task in missing[:_NAMED])
    more = f", and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    first = missing[0].sources[min(missing[0].current)]["uri"]
    found.problems.append(
        f"{names}{more}: missing; {found.pending} planned sources, {first} among them, are pending: "
        "run 'reelsift extract' to go on"
    )


def _check_tasks(
    store: Store, committed: list[PlannedTask], info: TablesInfo, found: Findings, progress: Progress
) -> None:
    # Of a task that was planned anew as a whole nobody reads the objects.
    current = [task for task in committed if task.current]
    for number, task in enumerate(current, 1):
        check_task(store, task, info, found)
        progress(number, len(current))
