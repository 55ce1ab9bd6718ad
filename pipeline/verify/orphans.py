"""Objects that no reader looks at: left by killed runs, superseded, or strange. They cost space and nothing else."""

from collections.abc import Iterator, Mapping, Set

from pipeline.storage import Store
from pipeline.verify.task import PlannedTask
from schemas.tables import CLIPS_DIR, PLAN_DIR, VIDEOS_DIR

_SUFFIX = ".parquet"


def orphans(store: Store, tasks: Mapping[str, PlannedTask], committed: Set[str]) -> Iterator[str]:
    """Each such object with why it is one.

    Raises:
        StorageError: the tables cannot be listed.
    """
    for folder in (PLAN_DIR, CLIPS_DIR, VIDEOS_DIR):
        for name in store.names(folder, hidden=True):
            if why := _why(folder, name, tasks, committed):
                yield f"{folder}/{name}: {why}"


def _why(folder: str, name: str, tasks: Mapping[str, PlannedTask], committed: Set[str]) -> str:
    if name.startswith(".") or not name.endswith(_SUFFIX):
        return "a write that was killed or is under way" if name.endswith(".part") else "not an object of these tables"
    task = name.removesuffix(_SUFFIX)
    if folder == PLAN_DIR:
        return ""
    if task not in tasks:
        return "of no planned task"
    if not tasks[task].current:
        return "superseded: all its sources were planned anew"
    return "" if task in committed else "of a task without a commit; the next extract writes it anew"
