"""Objects that no reader looks at: left by killed runs, superseded, or strange. They cost space and nothing else."""

from collections.abc import Iterator, Mapping, Set

from pipeline.storage import Store
from pipeline.tables import clips_names, task_of_clips
from pipeline.verify.task import PlannedTask
from schemas.tables import CLIPS_DIR, PARTS_DIR, PLAN_DIR, VIDEOS_DIR

_SUFFIX = ".parquet"


def orphans(
    store: Store, tasks: Mapping[str, PlannedTask], committed: Set[str], clip_objects: Mapping[str, int]
) -> Iterator[str]:
    """Each such object with why it is one.

    Args:
        store: the tables.
        tasks: all that were ever planned.
        committed: ids of tasks.
        clip_objects: of the tasks that have more than one.

    Raises:
        StorageError: the tables cannot be listed.
    """
    for folder in (PLAN_DIR, CLIPS_DIR, VIDEOS_DIR, PARTS_DIR):
        for name in store.names(folder, hidden=True):
            if why := _why(folder, name, tasks, committed):
                yield f"{folder}/{name}: {why}"
            elif folder == CLIPS_DIR and _is_stale(name, committed, clip_objects):
                yield f"{folder}/{name}: no part of what its task committed"


def _is_stale(name: str, committed: Set[str], clip_objects: Mapping[str, int]) -> bool:
    task = task_of_clips(name)
    return task in committed and f"{CLIPS_DIR}/{name}" not in clips_names(task, clip_objects.get(task, 1))


def _why(folder: str, name: str, tasks: Mapping[str, PlannedTask], committed: Set[str]) -> str:
    if name.startswith(".") or not name.endswith((_SUFFIX, ".json") if folder == PARTS_DIR else _SUFFIX):
        return "a write that was killed or is under way" if name.endswith(".part") else "not an object of these tables"
    task = task_of_clips(name)
    if folder == PLAN_DIR:
        return ""
    if task not in tasks:
        return "of no planned task"
    if not tasks[task].current:
        return "superseded: all its sources were planned anew"
    if folder == PARTS_DIR:
        return "left of a long video that is committed" if task in committed else ""
    return "" if task in committed else "of a task without a commit; the next extract writes it anew"
