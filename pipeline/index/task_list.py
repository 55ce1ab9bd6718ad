"""Which tasks of the tables a version holds: an object of its own, since there may be hundreds of thousands."""

from collections.abc import Iterable

from pipeline.storage import Store
from schemas.errors import IndexCorruptError, StorageError
from schemas.manifest import VersionManifest

_PREFIX = "tasks.r"


def write_tasks(store: Store, revision: int, tasks: Iterable[str]) -> str:
    """Write the list of a revision; its name, for the manifest.

    Args:
        store: the folder of the version.
        revision: of the manifest that will name it.
        tasks: ids.
    """
    name = f"{_PREFIX}{revision}.txt"
    store.write(name, "".join(f"{task}\n" for task in sorted(tasks)).encode())
    return name


def read_tasks(store: Store, manifest: VersionManifest) -> set[str]:
    """The tasks of a version.

    Raises:
        IndexCorruptError: the version has no such list.
    """
    if manifest.tasks_object is None:
        raise IndexCorruptError(
            f"version {manifest.version} was built by an older release and does not know its tasks: build a new one"
        )
    try:
        return set(store.read(manifest.tasks_object).decode().split())
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise IndexCorruptError(f"{store.path(manifest.tasks_object)} is missing: build a new version") from None
        raise


def is_task_list(name: str) -> bool:
    """Whether an object beside a manifest is a list of tasks.

    >>> is_task_list("tasks.r2.txt"), is_task_list("manifest.json")
    (True, False)
    """
    return name.startswith(_PREFIX)
