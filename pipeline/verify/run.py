"""A whole verification: the plan, then task by task, then the index. Reads everything, changes nothing."""

from collections.abc import Callable

from pipeline.storage import Store
from pipeline.tables import committed_tasks, require_info
from pipeline.verify.orphans import orphans
from pipeline.verify.plan import check_plan
from pipeline.verify.report import Findings
from pipeline.verify.task import PlannedTask, check_task
from schemas.config import VerifyConfig
from schemas.results import VerifyReport
from schemas.tables import PLAN_DIR, VIDEOS_DIR, TablesInfo

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
    tasks = check_plan(store, found)
    if tasks is not None:
        committed = committed_tasks(store)
        if committed and not tasks:
            found.problems.append(
                f"{PLAN_DIR}/ holds no plan, although {len(committed)} tasks are committed: restore it, or run "
                "'reelsift extract' with the same inputs, which plans them again"
            )
        _check_tasks(store, list(tasks.values()), committed, info, found, progress)
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
        objects=found.objects,
        clips=found.clips,
        index_version=version,
    )


def _check_tasks(
    store: Store,
    tasks: list[PlannedTask],
    committed: set[str],
    info: TablesInfo,
    found: Findings,
    progress: Progress,
) -> None:
    # Of a task that was planned anew as a whole nobody reads the objects.
    current = [task for task in tasks if task.current]
    for number, task in enumerate(current, 1):
        if task.task_id in committed:
            check_task(store, task, info, found)
        else:
            first = task.sources[min(task.current)]["uri"]
            found.problems.append(
                f"{VIDEOS_DIR}/{task.task_id}.parquet is missing: {len(task.current)} planned sources, {first} among "
                "them, are pending; run 'reelsift extract' to go on"
            )
        progress(number, len(current))
