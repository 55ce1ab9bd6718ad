"""One version from a revision to the next: the shards with new holes, the manifest, and what is left of the old one."""

from collections.abc import Sequence

from pipeline.index.fine_holes import Holed, make_holes
from pipeline.index.task_list import is_task_list
from pipeline.index.versions import version_store
from pipeline.storage import Store
from schemas.intent import VersionChange
from schemas.manifest import FINE_DIR, MANIFEST, FineShard, FramesCollection, VersionManifest


def with_holes(index: Store, manifest: VersionManifest, change: VersionChange) -> VersionManifest:
    """What the manifest becomes when the clips of a change are gone; their shards are written, it is not.

    Raises:
        IndexCorruptError: a shard is not what the manifest says.
        StorageError: the location refuses.
    """
    store = version_store(index, manifest.version)
    holed = {
        number: make_holes(store, manifest, number, rows, change.revision)
        for number, rows in sorted(change.holes.items())
    }
    gone = set(change.clip_ids)
    return manifest.model_copy(
        update={
            "revision": change.revision,
            "shards": _shards(manifest, holed),
            "clips": manifest.clips - sum(one.clips for one in holed.values()),
            "videos": manifest.videos - change.videos,
            "frames": _frames(manifest, -sum(one.frames for one in holed.values())),
            "sample": [clip for clip in manifest.sample if clip not in gone],
        }
    )


def with_shards(manifest: VersionManifest, shards: Sequence[FineShard], videos: int, frames: int) -> VersionManifest:
    """What the manifest becomes with more shards.

    Args:
        manifest: without them.
        shards: behind its own.
        videos: in them.
        frames: rows that the collection of frames got.
    """
    return manifest.model_copy(
        update={
            "shards": [*manifest.shards, *shards],
            "clips": manifest.clips + sum(shard.clips for shard in shards),
            "videos": manifest.videos + videos,
            "frames": _frames(manifest, frames),
        }
    )


def write_revision(index: Store, manifest: VersionManifest) -> None:
    """Replace the manifest: from now on readers go by this revision."""
    name = f"versions/{manifest.version}/{MANIFEST}"
    index.write(name, manifest.model_dump_json(indent=1).encode())


def sweep(index: Store, manifest: VersionManifest) -> None:
    """Remove what the manifest does not name: the shards and the list of tasks of revisions before, and parts."""
    store = version_store(index, manifest.version)
    wanted = {shard.name for shard in manifest.shards}
    for name in store.names(FINE_DIR, hidden=True):
        if name not in wanted:
            store.delete(f"{FINE_DIR}/{name}")
    tasks = manifest.tasks_object.name if manifest.tasks_object else None
    for name in store.names(""):
        if is_task_list(name) and name != tasks:
            store.delete(name)


def _shards(manifest: VersionManifest, holed: dict[int, Holed]) -> list[FineShard]:
    return [holed[number].shard if number in holed else shard for number, shard in enumerate(manifest.shards)]


def _frames(manifest: VersionManifest, more: int) -> FramesCollection | None:
    return manifest.frames and manifest.frames.model_copy(update={"rows": manifest.frames.rows + more})
