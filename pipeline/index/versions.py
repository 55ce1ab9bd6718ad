"""Versions of an index: INDEX/versions/<n>/manifest.json makes one, INDEX/live.json says which one is live."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.index.fine_store import FineStore
from pipeline.index.vector_store import VectorStore
from pipeline.storage import Store
from schemas.errors import IndexCorruptError, IndexMissingError
from schemas.manifest import FINE_DIR, LIVE_POINTER, MANIFEST, VERSIONS_DIR, LivePointer, VersionManifest
from schemas.results import IndexSummary

_Model = TypeVar("_Model", bound=BaseModel)


def version_store(index: Store, version: int) -> Store:
    """The folder of one version."""
    return Store(index.path(f"{VERSIONS_DIR}/{version}"))


def folder_numbers(index: Store) -> list[int]:
    """Numbers of the folders of complete versions and of unfinished builds, in order."""
    return sorted(int(name) for name in index.folders(VERSIONS_DIR) if name.isdecimal())


def version_numbers(index: Store) -> list[int]:
    """Numbers of the complete versions, in order."""
    return [number for number in folder_numbers(index) if version_store(index, number).exists(MANIFEST)]


def next_version(index: Store) -> int:
    """The number of the next build: above all folders that hold anything.

    A folder with nothing in it does not count: some object stores show one for a while after its last object went.
    """
    for number in reversed(folder_numbers(index)):
        store = version_store(index, number)
        if store.names("") or store.names(FINE_DIR):
            return number + 1
    return 1


def read_manifest(index: Store, version: int) -> VersionManifest:
    """The manifest of a version.

    Raises:
        IndexMissingError: there is no such version.
        IndexCorruptError: its manifest does not parse.
    """
    name = f"{VERSIONS_DIR}/{version}/{MANIFEST}"
    if not index.exists(name):
        known = ", ".join(map(str, version_numbers(index))) or "none"
        raise IndexMissingError(f"{index.root} has no version {version}; it has: {known}")
    return _parse(VersionManifest, index, name)


def live_version(index: Store) -> int | None:
    """The number of the published version, or None.

    Raises:
        IndexCorruptError: live.json does not parse.
    """
    pointer = _read_pointer(index)
    return pointer.version if pointer else None


def live_manifest(index: Store) -> VersionManifest:
    """The manifest of the published version.

    Raises:
        IndexMissingError: nothing is published, or the published version is gone.
        IndexCorruptError: the files do not parse.
    """
    version = live_version(index)
    if version is not None:
        return read_manifest(index, version)
    built = version_numbers(index)
    if built:
        raise IndexMissingError(
            f"{index.root} has no published version: run 'reelsift index publish --index {index.root}'"
        )
    raise IndexMissingError(
        f"{index.root} holds no index: run 'reelsift index build --tables TABLES --index {index.root}'"
    )


def list_versions(index: Store) -> list[IndexSummary]:
    """All complete versions, in order."""
    live = live_version(index)
    return [summary_of(read_manifest(index, number), live) for number in version_numbers(index)]


def summary_of(manifest: VersionManifest, live: int | None) -> IndexSummary:
    """What is told of a version."""
    names = [name for name in IndexSummary.model_fields if name != "live"]
    return IndexSummary(**{name: getattr(manifest, name) for name in names}, live=manifest.version == live)


def publish(index: Store, version: int | None = None) -> IndexSummary:
    """Make a version the live one, after a look at all its parts. The version that is live already is left alone.

    Args:
        index: the index.
        version: its number; None for the newest.

    Raises:
        IndexMissingError: there is no such version.
        IndexCorruptError: a part of it is missing or has another size than its manifest says; nothing changed.
        VectorStoreError: Milvus is away; nothing changed.
    """
    if version is None:
        numbers = version_numbers(index)
        if not numbers:
            raise IndexMissingError(f"{index.root} holds no version to publish: run 'reelsift index build' first")
        version = numbers[-1]
    manifest = read_manifest(index, version)
    pointer = _read_pointer(index)
    if pointer and pointer.version == version:
        return summary_of(manifest, version)
    _check_shards(index, manifest)
    vectors = VectorStore.open(manifest.milvus, index.root)
    try:
        _check_collections(vectors, manifest)
        vectors.set_alias(manifest.alias, manifest.collection)
    finally:
        vectors.close()
    # Last: readers go by it, and now all that it leads to is proven to be there.
    following = LivePointer(version=version, previous=pointer.version if pointer else None)
    index.write(LIVE_POINTER, following.model_dump_json(indent=1).encode())
    return summary_of(manifest, version)


def _read_pointer(index: Store) -> LivePointer | None:
    return _parse(LivePointer, index, LIVE_POINTER) if index.exists(LIVE_POINTER) else None


def _parse(model: type[_Model], index: Store, name: str) -> _Model:
    try:
        return model.model_validate_json(index.read(name))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise IndexCorruptError(f"{index.path(name)} is damaged ({where}: {first['msg']})") from None


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
