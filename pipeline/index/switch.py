"""Which version is live changes here: after a look at all its parts, and by one write."""

import contextlib

from pipeline.index.build_lock import only_switch
from pipeline.index.fine_store import FineStore
from pipeline.index.intent import refuse_unfinished
from pipeline.index.own_vectors import check_sample
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import live_pointer, newest_version, read_manifest, summary_of, version_store
from pipeline.storage import Store
from schemas.errors import IndexCorruptError, IndexMissingError
from schemas.manifest import FINE_DIR, LIVE_POINTER, LivePointer, VersionManifest
from schemas.results import IndexSummary, RollbackSummary


def publish(index: Store, version: int | None = None) -> IndexSummary:
    """Make a version the live one, after a look at all its parts. One that is live already is looked at as well.

    Args:
        index: the index.
        version: its number; None for the newest.

    Raises:
        IndexMissingError: there is no such version.
        IndexCorruptError: a part of it is missing or has another size than its manifest says, or a clip is not found
            by its own vector; nothing changed.
        StorageError: another publish, rollback or gc is under way; nothing changed.
        VectorStoreError: Milvus is away; nothing changed.
    """
    if version is None:
        version = newest_version(index)
    # Before the lock as well, which would make a folder of an index that is none.
    read_manifest(index, version)
    with only_switch(index):
        return _switch(index, version)


def rollback(index: Store, version: int | None = None) -> RollbackSummary:
    """Publish an older version again, after the same look at all its parts.

    Args:
        index: the index.
        version: its number; None for the one that was live before. So a second rollback undoes the first.

    Raises:
        IndexMissingError: there is nothing to roll back to.
        ReelsiftError: as `publish`; nothing changed.
    """
    pointer = live_pointer(index)
    if pointer is None:
        raise IndexMissingError(f"{index.root} has no published version: there is nothing to roll back from")
    if version is None:
        version = pointer.previous
    if version is None:
        raise IndexMissingError(
            f"{index.root}: no version was live before version {pointer.version}: there is nothing to roll back to; "
            "name a version with --version"
        )
    return RollbackSummary(**publish(index, version).model_dump(), replaced=pointer.version)


def _switch(index: Store, version: int) -> IndexSummary:
    refuse_unfinished(index, version)
    manifest = read_manifest(index, version)
    pointer = None
    # A damaged pointer is replaced by this one.
    with contextlib.suppress(IndexCorruptError):
        pointer = live_pointer(index)
    _check_shards(index, manifest)
    vectors = VectorStore.open(manifest.milvus, index.root)
    try:
        _check_collections(vectors, manifest)
        check_sample(vectors, manifest)
        vectors.set_alias(manifest.alias, manifest.collection)
    finally:
        vectors.close()
    if pointer and pointer.version == version:
        return summary_of(manifest, pointer)
    # Last: readers go by it, and now all that it leads to is proven to be there.
    following = LivePointer(version=version, previous=pointer.version if pointer else None)
    index.write(LIVE_POINTER, following.model_dump_json(indent=1).encode())
    return summary_of(manifest, following)


def _check_shards(index: Store, manifest: VersionManifest) -> None:
    store = version_store(index, manifest.version)
    if not store.is_remote:
        FineStore(store, manifest).close()
        return
    # Their sizes and checksums are compared by each reader, when it fetches them.
    present = set(store.names(FINE_DIR))
    for shard in manifest.shards:
        if shard.name not in present:
            raise IndexCorruptError(f"{store.path(f'{FINE_DIR}/{shard.name}')} is missing: build the index anew")


def _check_collections(vectors: VectorStore, manifest: VersionManifest) -> None:
    expected = {manifest.collection: (manifest.clips, "clips")}
    if manifest.frames:
        expected[manifest.frames.collection] = (manifest.frames.rows, "frames")
    where = f"version {manifest.version}: Milvus ({vectors.place})"
    present = vectors.collections()
    for collection, (rows, what) in expected.items():
        if collection not in present:
            raise IndexCorruptError(f"{where} has no collection {collection}: build the index anew")
        count = vectors.count(collection)
        if count != rows:
            raise IndexCorruptError(
                f"{where} holds {count} {what} in {collection}, the manifest says {rows}: build anew"
            )
