"""Removes the versions of an index that nobody needs any more, and what killed builds and removals left.

The manifest of a version goes first, and with it the version: no reader trusts what has none. Its marker, written
before, then leads this removal, or after a kill the next one or the next build, to all that is left of it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.folder_kinds import refuse_tables
from pipeline.index.build_lock import only_build, only_switch
from pipeline.index.finish import finish
from pipeline.index.intent import refuse_unfinished
from pipeline.index.lite_owner import DATA_DIR
from pipeline.index.naming import alias_name, index_id
from pipeline.index.presence import require_live
from pipeline.index.revision import sweep
from pipeline.index.unfinished import MARKER, drop_both, mark, read_marker, remove_files
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import (
    folder_numbers,
    live_pointer,
    next_version,
    note_highest,
    read_manifest,
    version_numbers,
    version_store,
)
from pipeline.storage import Store
from schemas.errors import IndexCorruptError, IndexMissingError, VectorStoreError
from schemas.manifest import FINE_DIR, INDEX_IDENTITY, LITE, MANIFEST, VersionManifest
from schemas.results import GcSummary

_SHARD = re.compile(r"shard-\d+(\.r\d+)?\.bin")


def collect_garbage(index: Store, keep: int, *, dry_run: bool = False) -> GcSummary:
    """Remove all versions but the live one, the one live before it, and the newest.

    Args:
        index: the index.
        keep: how many of the newest versions stay in any case.
        dry_run: change nothing.

    Raises:
        IndexMissingError: there is no index.
        IndexCorruptError: a manifest or live.json does not parse, live.json names no version that is there, or is gone
            after a publish, or a copy of this index uses the same Milvus; nothing was removed.
        StorageError: a build, a publish or another gc is under way, and nothing was removed; or the storage refuses.
        VectorStoreError: Milvus went away in between: the same command goes on where it stopped.
    """
    refuse_tables(index)
    if not index.exists(INDEX_IDENTITY):
        raise IndexMissingError(f"{index.root} holds no index: there is nothing to remove")
    with only_build(index), _milvuses(index) as milvuses:
        if dry_run:
            refuse_unfinished(index)
        else:
            finish(index)
        with only_switch(index):
            garbage = _find(index, keep, milvuses)
            summary = _summary(index, garbage, dry_run=dry_run)
            if not dry_run:
                _retire(index, garbage)
        if not dry_run:
            _clear(index, garbage, milvuses)
            for manifest in garbage.kept:
                sweep(index, manifest)
    return summary


class _Milvuses:
    """Connections by address, each made once; None for a Milvus that is away."""

    def __init__(self, index: Store) -> None:
        self._root = index.root
        self._opened: dict[str, VectorStore | None] = {}
        self.troubles: dict[str, str] = {}

    def get(self, milvus: str) -> VectorStore | None:
        if milvus not in self._opened:
            try:
                self._opened[milvus] = VectorStore.open(milvus, self._root)
            except VectorStoreError as error:
                self._opened[milvus] = None
                self.troubles[milvus] = str(error)
        return self._opened[milvus]

    def close(self) -> None:
        for vectors in self._opened.values():
            if vectors:
                vectors.close()


@contextmanager
def _milvuses(index: Store) -> Iterator[_Milvuses]:
    milvuses = _Milvuses(index)
    try:
        yield milvuses
    finally:
        milvuses.close()


@dataclass
class _Garbage:
    """What a look at the index found."""

    unwanted: list[VersionManifest] = field(default_factory=list)
    kept: list[VersionManifest] = field(default_factory=list)
    # number -> where, and the collection of clips; nothing for one without a marker
    leftovers: dict[int, tuple[str, str]] = field(default_factory=dict)
    # (where, collection)
    orphans: list[tuple[str, str]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def _find(index: Store, keep: int, milvuses: _Milvuses) -> _Garbage:
    garbage = _Garbage()
    numbers = version_numbers(index)
    require_live(index, _published(index, numbers, milvuses))
    pointer = live_pointer(index)
    wanted = {pointer.version, pointer.previous} if pointer else set()
    # Of versions of which none was published yet, the newest is the one to be.
    keep = keep if pointer else max(keep, 1)
    wanted.update(numbers[len(numbers) - min(keep, len(numbers)) :])
    for manifest in [read_manifest(index, number) for number in numbers]:
        if manifest.version in wanted:
            garbage.kept.append(manifest)
        elif milvuses.get(manifest.milvus):
            garbage.unwanted.append(manifest)
        else:
            garbage.kept.append(manifest)
            garbage.left.append(_unreachable(index, manifest.version, milvuses.troubles[manifest.milvus]))
    _find_leftovers(index, set(numbers), milvuses, garbage)
    _find_orphans(index, milvuses, garbage)
    return garbage


def _published(index: Store, numbers: list[int], milvuses: _Milvuses) -> str | None:
    """A collection that the alias of this index leads to, in any Milvus that has versions of it."""
    for milvus in sorted({read_manifest(index, number).milvus for number in numbers}):
        vectors = milvuses.get(milvus)
        if vectors and (collection := vectors.resolve_alias(alias_name(index_id(index)))):
            return collection
    return None


def _find_leftovers(index: Store, complete: set[int], milvuses: _Milvuses, garbage: _Garbage) -> None:
    for number in folder_numbers(index):
        store = version_store(index, number)
        if number in complete:
            continue
        if store.exists(MARKER):
            where, collection = read_marker(store) or (LITE, "")
            if not collection or milvuses.get(where):
                garbage.leftovers[number] = (where, collection)
            else:
                garbage.left.append(_unreachable(index, number, milvuses.troubles[where]))
        elif store.names("") or not all(_SHARD.fullmatch(name) for name in store.names(FINE_DIR)):
            garbage.left.append(f"{store.root} holds files that no build made: look at them and remove them by hand")
        elif not store.is_remote or store.names(FINE_DIR):
            # In an object store a folder without objects is none.
            garbage.leftovers[number] = (LITE, "")


def _unreachable(index: Store, version: int, trouble: str) -> str:
    return (
        f"version {version} stays, since its vectors cannot be removed ({trouble}); if that Milvus is gone for good, "
        f"remove {version_store(index, version).root} by hand"
    )


def _find_orphans(index: Store, milvuses: _Milvuses, garbage: _Garbage) -> None:
    """Collections with names of this index that belong to nothing, wherever it has or had versions."""
    known = {(manifest.milvus, name) for manifest in garbage.kept + garbage.unwanted for name in _collections(manifest)}
    for where, collection in garbage.leftovers.values():
        known |= {(where, collection), (where, f"{collection}_frames")}
    ours = re.compile(re.escape(alias_name(index_id(index))) + r"_v(\d+)(_frames)?")
    following = next_version(index)
    places = {where for where, collection in known if collection}
    if not index.is_remote and index.exists(DATA_DIR):
        places.add(LITE)
    for where in sorted(places):
        vectors = milvuses.get(where)
        for name in vectors.collections() if vectors else []:
            match = ours.fullmatch(name)
            if not match or (where, name) in known:
                continue
            if int(match[1]) >= following:
                raise IndexCorruptError(
                    f"Milvus ({where}) has a collection {name} that this index did not make; is there a copy of the "
                    "index? Nothing was removed: what the two share cannot be told apart"
                )
            garbage.orphans.append((where, name))


def _collections(manifest: VersionManifest) -> list[str]:
    return [manifest.collection, *([manifest.frames.collection] if manifest.frames else [])]


def _summary(index: Store, garbage: _Garbage, *, dry_run: bool) -> GcSummary:
    removed = [manifest.version for manifest in garbage.unwanted]
    folders = [version_store(index, number) for number in [*removed, *garbage.leftovers]]
    return GcSummary(
        removed=removed,
        kept=[manifest.version for manifest in garbage.kept],
        leftovers=list(garbage.leftovers),
        orphans=[name for _, name in garbage.orphans],
        left=garbage.left,
        fine_bytes=sum(store.size_of("") + store.size_of(FINE_DIR) for store in folders),
        milvus_bytes=sum(manifest.milvus_bytes for manifest in garbage.unwanted),
        dry_run=dry_run,
    )


def _retire(index: Store, garbage: _Garbage) -> None:
    """Make unwanted versions leftovers, which can never be published any more."""
    if garbage.unwanted or garbage.leftovers:
        note_highest(index)
    for manifest in garbage.unwanted:
        mark(index, manifest.version, manifest.milvus, manifest.collection)
        version_store(index, manifest.version).delete(MANIFEST)
        garbage.leftovers[manifest.version] = (manifest.milvus, manifest.collection)


def _clear(index: Store, garbage: _Garbage, milvuses: _Milvuses) -> None:
    for number, (where, collection) in garbage.leftovers.items():
        vectors = milvuses.get(where) if collection else None
        if vectors:
            drop_both(index, where, vectors, collection)
        remove_files(version_store(index, number))
    for where, name in garbage.orphans:
        if vectors := milvuses.get(where):
            vectors.drop(name)
