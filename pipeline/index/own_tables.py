"""Whether a version of an index was built from these tables. They may have been moved since: their tasks tell."""

from pipeline.index.task_list import read_tasks
from pipeline.index.versions import read_manifest, version_numbers, version_store
from pipeline.storage import Store
from pipeline.tables import read_plan_part
from schemas.errors import IndexCorruptError, UsageError
from schemas.manifest import VersionManifest
from schemas.tables import PLAN_DIR


def strange_tasks(tables: Store, index: Store, manifest: VersionManifest) -> set[str]:
    """The tasks of a version that these tables never planned.

    Raises:
        IndexCorruptError: the version has no list of its tasks, or a damaged one.
        StorageError: the plan cannot be read.
    """
    return read_tasks(version_store(index, manifest.version), manifest) - _planned(tables)


def require_own_tables(tables: Store, index: Store) -> None:
    """Refuse an index that has versions, and none of these tables.

    Raises:
        UsageError: it has none of them.
        StorageError: the plan cannot be read.
    """
    manifests = [read_manifest(index, number) for number in version_numbers(index)]
    planned = _planned(tables) if manifests else set()
    if manifests and not any(_is_of(tables, index, manifest, planned) for manifest in manifests):
        raise UsageError(
            f"no version of {index.root} was built from {tables.root}, but from {manifests[-1].tables}, and nothing "
            "was deleted: give the --index of these tables, so that their clips go from its versions too"
        )


def _is_of(tables: Store, index: Store, manifest: VersionManifest, planned: set[str]) -> bool:
    try:
        held = read_tasks(version_store(index, manifest.version), manifest)
    except IndexCorruptError:
        # Of an older release, or damaged: then its word for it counts.
        return manifest.tables == tables.root
    return held <= planned


def _planned(tables: Store) -> set[str]:
    found: set[str] = set()
    for name in tables.names(PLAN_DIR, ".parquet"):
        found.update(read_plan_part(tables, name)["task_id"].to_pylist())
    return found
