"""Which tasks of the tables a version holds: an object of its own, since there may be hundreds of thousands."""

import hashlib
from collections.abc import Iterable

from pipeline.storage import Store
from schemas.errors import IndexCorruptError, StorageError
from schemas.manifest import TasksObject, VersionManifest

_PREFIX = "tasks.r"


def write_tasks(store: Store, revision: int, tasks: Iterable[str]) -> TasksObject:
    """Write the list of a revision; what the manifest says of it.

    Args:
        store: the folder of the version.
        revision: of the manifest that will name it.
        tasks: ids.
    """
    name = f"{_PREFIX}{revision}.txt"
    data = "".join(f"{task}\n" for task in sorted(tasks)).encode()
    store.write(name, data)
    return TasksObject(name=name, sha256=hashlib.sha256(data).hexdigest())


def read_tasks(store: Store, manifest: VersionManifest) -> set[str]:
    """The tasks of a version.

    Raises:
        IndexCorruptError: the version has no such list, or it is not what the manifest says.
    """
    if manifest.tasks_object is None:
        raise IndexCorruptError(
            f"version {manifest.version} was built by an older release and does not know its tasks: build a new one"
        )
    try:
        data = store.read(manifest.tasks_object.name)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise IndexCorruptError(
                f"{store.path(manifest.tasks_object.name)} is missing: restore it, or build a new version"
            ) from None
        raise
    if hashlib.sha256(data).hexdigest() != manifest.tasks_object.sha256:
        raise IndexCorruptError(
            f"{store.path(manifest.tasks_object.name)} is damaged (its sha256 is not the manifest's): restore it, or "
            "build a new version"
        )
    return set(data.decode().split())


def is_task_list(name: str) -> bool:
    """Whether an object beside a manifest is a list of tasks.

    >>> is_task_list("tasks.r2.txt"), is_task_list("manifest.json")
    (True, False)
    """
    return name.startswith(_PREFIX)
