"""Versions of an index: INDEX/versions/<n>/manifest.json makes one, INDEX/live.json says which one is live."""

import contextlib
from collections.abc import Callable, Container
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.folder_kinds import refuse_tables
from pipeline.index.fine_store import FineStore
from pipeline.index.manifest_check import check_manifest
from pipeline.storage import Store
from schemas.errors import IndexCorruptError, IndexMissingError
from schemas.manifest import (
    EVALUATION,
    FINE_DIR,
    LIVE_POINTER,
    MANIFEST,
    VERSION_COUNTER,
    VERSIONS_DIR,
    EvaluationNote,
    LivePointer,
    VersionCounter,
    VersionManifest,
)
from schemas.results import IndexSummary

_WAYS_OUT = {
    LIVE_POINTER: ", or publish a version to replace it: reelsift index publish --version N",
    EVALUATION: ", or remove it",
}
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
    """The number of the next build: above all folders that hold anything, and all versions that ever were.

    Readers keep what they opened by its number, so a number that was removed never comes back. A folder with nothing
    in it does not count: some object stores show one for a while after its last object went.

    Raises:
        IndexCorruptError: highest.json or live.json does not parse.
    """
    counter = _parse(VersionCounter, index, VERSION_COUNTER) if index.exists(VERSION_COUNTER) else None
    pointer = live_pointer(index)
    known = [counter.highest if counter else 0, pointer.version if pointer else 0]
    for number in reversed(folder_numbers(index)):
        store = version_store(index, number)
        if store.names("") or store.names(FINE_DIR):
            return max(number, *known) + 1
    return max(known) + 1


def note_highest(index: Store) -> None:
    """Keep the highest number in use, before its version may be removed."""
    counter = VersionCounter(highest=next_version(index) - 1)
    index.write(VERSION_COUNTER, counter.model_dump_json().encode())


def newest_version(index: Store) -> int:
    """The highest number of a complete version.

    Raises:
        IndexMissingError: there is none.
    """
    numbers = version_numbers(index)
    if not numbers:
        raise IndexMissingError(f"{index.root} holds no version to publish: run 'reelsift index build' first")
    return numbers[-1]


def read_manifest(index: Store, version: int) -> VersionManifest:
    """The manifest of a version.

    Raises:
        IndexMissingError: there is no such version.
        IndexCorruptError: its manifest does not parse, or its parts do not fit one another.
    """
    name = f"{VERSIONS_DIR}/{version}/{MANIFEST}"
    if not index.exists(name):
        known = ", ".join(map(str, version_numbers(index))) or "none"
        raise IndexMissingError(f"{index.root} has no version {version}; it has: {known}")
    manifest = _parse(VersionManifest, index, name)
    check_manifest(manifest, version, index.path(name))
    return manifest


def read_evaluation(index: Store, version: int) -> EvaluationNote | None:
    """The figures of an evaluation that were noted with a version, or None.

    Raises:
        IndexCorruptError: they do not parse.
    """
    store = version_store(index, version)
    return _parse(EvaluationNote, store, EVALUATION) if store.exists(EVALUATION) else None


def live_pointer(index: Store) -> LivePointer | None:
    """Which version is published, and which one was before; None if none is.

    Raises:
        IndexCorruptError: live.json does not parse.
    """
    return _parse(LivePointer, index, LIVE_POINTER) if index.exists(LIVE_POINTER) else None


def live_version(index: Store) -> int | None:
    """The number of the published version, or None.

    Raises:
        IndexCorruptError: live.json does not parse.
    """
    pointer = live_pointer(index)
    return pointer.version if pointer else None


def live_manifest(index: Store) -> VersionManifest:
    """The manifest of the published version.

    Raises:
        IndexMissingError: nothing is published, or the published version is gone.
        IndexCorruptError: the files do not parse.
    """
    version = live_version(index)
    if version is not None:
        try:
            return read_manifest(index, version)
        except IndexMissingError as error:
            raise IndexMissingError(
                f"{index.path(LIVE_POINTER)} names version {version}, but {error}: restore it, or publish another one"
            ) from None
    refuse_tables(index)
    built = version_numbers(index)
    if built:
        raise IndexMissingError(
            f"{index.root} has no published version: run 'reelsift index publish --index {index.root}'"
        )
    raise IndexMissingError(
        f"{index.root} holds no index: run 'reelsift index build --tables TABLES --index {index.root}'"
    )


def open_fine(
    index: Store, manifest: VersionManifest, only: Callable[[VersionManifest], Container[int]] | None = None
) -> tuple[VersionManifest, FineStore]:
    """The fine store of a version, with its newest revision if an update or a delete has taken shards away meanwhile.

    Args:
        index: the index.
        manifest: of the version.
        only: numbers of the shards that are read here, of a revision; None for all.

    Raises:
        IndexMissingError: the version is gone.
        IndexCorruptError: its files are not what its manifest says.
        StorageError: they cannot be fetched.
    """
    while True:
        try:
            wanted = only(manifest) if only else None
            return manifest, FineStore(version_store(index, manifest.version), manifest, wanted)
        except IndexCorruptError:
            newest = read_manifest(index, manifest.version)
            if newest.revision == manifest.revision:
                raise
            manifest = newest


def list_versions(index: Store) -> list[IndexSummary]:
    """All complete versions, in order.

    Raises:
        UsageError: the folder holds tables.
    """
    refuse_tables(index)
    pointer = live_pointer(index)
    found = []
    for number in version_numbers(index):
        # Removed since its number was read.
        with contextlib.suppress(IndexMissingError):
            found.append(summary_of(read_manifest(index, number), pointer, read_evaluation(index, number)))
    return found


def summary_of(
    manifest: VersionManifest, pointer: LivePointer | None, evaluation: EvaluationNote | None = None
) -> IndexSummary:
    """What is told of a version."""
    names = IndexSummary.model_fields.keys() & VersionManifest.model_fields.keys()
    return IndexSummary(
        **{name: getattr(manifest, name) for name in names},
        frame_rows=manifest.frame_rows,
        fine_bytes=manifest.fine_bytes,
        milvus_bytes=manifest.milvus_bytes,
        search=manifest.ann.search,
        recall=manifest.recall,
        evaluation=evaluation,
        live=pointer is not None and pointer.version == manifest.version,
        previous=pointer is not None and pointer.previous == manifest.version,
    )


def _parse(model: type[_Model], index: Store, name: str) -> _Model:
    try:
        return model.model_validate_json(index.read(name))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise IndexCorruptError(
            f"{index.path(name)} is damaged ({where}: {first['msg']}): restore it{_WAYS_OUT.get(name, '')}"
        ) from None
