"""Carries out a change that stands in the journal, from wherever an attempt before was killed.

Every step can be done twice. What is found before the first step, rows and addresses, stands in the journal, so that it
is still known when the rows are gone. The manifest of a version is replaced when all that it names is there; what only
the old revision named goes after that; the journal goes last.
"""

from pipeline.erase import erase
from pipeline.extract_lease import only_driver
from pipeline.index.clip_writer import ClipWriter, shard_folder
from pipeline.index.fine_writer import FineWriter
from pipeline.index.intent import end, read_intent
from pipeline.index.milvus_places import MilvusPlaces
from pipeline.index.revision import sweep, with_holes, with_shards, write_revision
from pipeline.index.task_list import read_tasks, write_tasks
from pipeline.index.version_rows import VersionRows
from pipeline.index.versions import read_manifest, version_numbers, version_store
from pipeline.storage import Store
from pipeline.tables import current_videos, iter_clips
from schemas.errors import IndexCorruptError
from schemas.intent import DELETE, Intent, VersionChange
from schemas.manifest import VersionManifest

_SHARD_BYTES = 256 << 20
_BATCH_ROWS = 512


def finish(index: Store, *, shard_bytes: int = _SHARD_BYTES, batch_rows: int = _BATCH_ROWS) -> Intent | None:
    """End the change that has begun, if there is one; the caller holds the index for writing.

    Args:
        index: the index.
        shard_bytes: of a new shard, at most.
        batch_rows: rows of one message to Milvus.

    Returns:
        what was done.

    Raises:
        IndexCorruptError: a file is not what its manifest says.
        StorageError: tables or index cannot be read or written, or an extraction holds the tables that clips go from;
            the same call goes on.
        VectorStoreError: Milvus is away; the same call goes on.
    """
    intent = read_intent(index)
    if intent is None:
        return None
    if intent.action == DELETE:
        tables = Store(intent.tables)
        # First: from now on nothing can be made of the clips any more. And alone: a second extraction of a task, which
        # does no harm otherwise, would write them again.
        with only_driver(tables):
            erase(tables, set(intent.video_ids), f"deleted {intent.created_utc}")
    known = set(version_numbers(index))
    damaged: list[IndexCorruptError] = []
    with MilvusPlaces(index) as places:
        for change in intent.changes:
            # Its folder may have been removed by hand.
            if change.version in known:
                try:
                    _change(index, intent, change, places, shard_bytes, batch_rows)
                except IndexCorruptError as error:
                    # The clips go from the other versions all the same.
                    damaged.append(error)
    if damaged:
        raise damaged[0]
    end(index)
    return intent


def finish_but_damaged(index: Store) -> None:
    """Like `finish`, for a build: a delete that a damaged version keeps from its end does not keep a new one away.

    The tables have lost the clips by then, so the new version has none of them, and can take the place of the other.

    Raises:
        ReelsiftError: as `finish`.
    """
    intent = read_intent(index)
    try:
        finish(index)
    except IndexCorruptError:
        if intent is None or intent.action != DELETE:
            raise


def _change(
    index: Store, intent: Intent, change: VersionChange, places: MilvusPlaces, shard_bytes: int, batch_rows: int
) -> None:
    manifest = read_manifest(index, change.version)
    rows = VersionRows(places.get(manifest.milvus), manifest)
    if manifest.revision < change.revision:
        rows.remove_uncovered()
        rows.remove(change.clip_ids)
        after = with_holes(index, manifest, change)
        if intent.action != DELETE:
            after = _with_tasks(index, intent, manifest, after, places, shard_bytes, batch_rows)
        write_revision(index, after)
        manifest = after
    if intent.action == DELETE:
        rows.wait_until_gone(change.clip_ids)
    sweep(index, manifest)


def _with_tasks(
    index: Store,
    intent: Intent,
    before: VersionManifest,
    manifest: VersionManifest,
    places: MilvusPlaces,
    shard_bytes: int,
    batch_rows: int,
) -> VersionManifest:
    """The clips of the tasks, in shards behind the others and in Milvus; what the manifest becomes with them."""
    store, tables = version_store(index, manifest.version), Store(intent.tables)
    vectors = places.get(manifest.milvus)
    frames = manifest.frames.collection if manifest.frames else None
    wanted = {task: videos for task, videos in current_videos(tables).items() if task in set(intent.tasks)}
    with shard_folder(store) as (folder, finished):
        fine = FineWriter(
            folder,
            manifest.token_shape,
            manifest.codec,
            shard_bytes,
            finished,
            masked=manifest.scoring.fusion.masked,
            first=len(manifest.shards),
        )
        shape, fields = manifest.token_shape, manifest.fields
        writer = ClipWriter(vectors, manifest.collection, frames, fine, shape, batch_rows, fields)
        try:
            for table in iter_clips(tables, manifest.model_id, wanted):
                writer.write(table)
            shards = fine.close()
        finally:
            fine.abort()
    if shards:
        VersionRows(vectors, manifest).flush()
    after = with_shards(manifest, shards, len(writer.clips_a_video), writer.frame_rows)
    _compare(after, places)
    tasks = write_tasks(store, after.revision, read_tasks(store, before) | set(intent.tasks))
    return after.model_copy(update={"tasks_object": tasks})


def _compare(manifest: VersionManifest, places: MilvusPlaces) -> None:
    vectors = places.get(manifest.milvus)
    expected = {manifest.collection: (manifest.clips, "clips")}
    if manifest.frames:
        expected[manifest.frames.collection] = (manifest.frames.rows, "frames")
    for collection, (rows, what) in expected.items():
        if (found := vectors.count(collection)) != rows:
            raise IndexCorruptError(
                f"after the update of version {manifest.version} Milvus ({vectors.place}) holds {found} {what} in "
                f"{collection}, the shards {rows}: the update is not taken up; run it again, or build a new version"
            )
