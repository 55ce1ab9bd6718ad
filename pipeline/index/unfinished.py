"""What a build or a removal leaves when it is killed, and how the next one finds and removes it.

A build first writes INDEX/versions/<n>/building.json, which names its collection of clips (that of frames is named
after it) and the folder of its files for an import, and removes it after the manifest. A removal goes the same way
back: the marker, and then the manifest goes first.
"""

import contextlib
import json
import logging
import shutil
from pathlib import Path

from pipeline.index.bulk_import import remove_parts
from pipeline.index.lite_owner import remove_remains
from pipeline.index.naming import frames_name
from pipeline.index.task_list import is_task_list
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import folder_numbers, version_store
from pipeline.storage import Store
from schemas.errors import ReelsiftError
from schemas.manifest import EVALUATION, FINE_DIR, LITE, MANIFEST

MARKER = "building.json"
logger = logging.getLogger("reelsift.index")


def mark(index: Store, version: int, milvus: str, collection: str, parts: str = "") -> None:
    """Note that a version is being built, or removed: without its manifest it is to be cleared away.

    Args:
        index: the index.
        version: its number.
        milvus: where its collections are.
        collection: of the clips.
        parts: the folder of files that Milvus imports, "" for none.
    """
    marker = {"milvus": milvus, "collection": collection, "parts": parts}
    version_store(index, version).write(MARKER, json.dumps(marker).encode())


def unmark(index: Store, version: int) -> None:
    """Note that a version is complete."""
    version_store(index, version).delete(MARKER)


def remove_unfinished(index: Store, milvus: str, vectors: VectorStore) -> None:
    """Remove the folders and collections of builds that never wrote their manifest.

    Args:
        index: the index; the caller holds it for writing.
        milvus: where `vectors` is.
        vectors: the Milvus of the present build.
    """
    for number in folder_numbers(index):
        store = version_store(index, number)
        # A folder without the marker is none of ours to remove.
        if store.exists(MARKER):
            remove(index, number, milvus, vectors)


def remove(index: Store, version: int, milvus: str, vectors: VectorStore) -> None:
    """Remove an unfinished version: its collections, its shards, and last what tells that they were there."""
    store = version_store(index, version)
    if store.exists(MANIFEST):
        store.delete(MARKER)
        return
    there, collection = read_marker(store) or (milvus, "")
    if collection:
        _drop(index, collection, there, milvus, vectors)
    remove_files(store)


def read_marker(store: Store) -> tuple[str, str] | None:
    """The Milvus and the collection of clips of an unfinished version, or None if its marker does not parse."""
    try:
        marker = json.loads(store.read(MARKER))
        return str(marker["milvus"]), str(marker["collection"])
    except (ValueError, KeyError, TypeError):
        return None


def remove_files(store: Store) -> None:
    """Remove the shards of an unfinished version and its files for an import, and last its marker."""
    _remove_parts(store)
    if store.is_remote:
        for name in store.names(FINE_DIR):
            store.delete(f"{FINE_DIR}/{name}")
    else:
        shutil.rmtree(store.path(FINE_DIR), ignore_errors=True)
    _remove_lists(store)
    store.delete(EVALUATION)
    store.delete(MARKER)
    if store.is_remote:
        return
    with contextlib.suppress(OSError):
        Path(store.root).rmdir()


def _remove_parts(store: Store) -> None:
    with contextlib.suppress(ValueError, AttributeError, ReelsiftError):
        folder = str(json.loads(store.read(MARKER)).get("parts", ""))
        if folder:
            try:
                remove_parts(folder)
            except ReelsiftError as error:
                logger.warning("files of an unfinished build stay behind: %s", error)


def _remove_lists(store: Store) -> None:
    for name in store.names(""):
        if is_task_list(name):
            store.delete(name)


def _drop(index: Store, collection: str, there: str, milvus: str, vectors: VectorStore) -> None:
    if there == milvus:
        drop_both(index, there, vectors, collection)
        return
    try:
        other = VectorStore.open(there, index.root)
    except ReelsiftError as error:
        logger.warning("collection %s of an unfinished build stays behind: %s", collection, error)
        return
    try:
        drop_both(index, there, other, collection)
    finally:
        other.close()


def drop_both(index: Store, milvus: str, vectors: VectorStore, collection: str) -> None:
    """Remove a collection of clips, and first that of its frames.

    Args:
        index: the index.
        milvus: where `vectors` is, as manifests say it.
        vectors: the Milvus that has them.
        collection: of the clips.
    """
    for name in (frames_name(collection), collection):
        vectors.drop(name)
        if milvus == LITE:
            remove_remains(index.root, name)
