"""Whether there is an index at all, and whether what is said to be live is there."""

from pipeline.index.versions import folder_numbers, live_pointer, version_numbers
from pipeline.storage import Store
from schemas.errors import IndexCorruptError, IndexMissingError
from schemas.manifest import INDEX_IDENTITY, LIVE_POINTER


def require_index(index: Store) -> None:
    """Refuse a place that holds no index.

    Raises:
        IndexMissingError: it holds none.
    """
    if not (index.exists(INDEX_IDENTITY) or index.exists(LIVE_POINTER) or folder_numbers(index)):
        raise IndexMissingError(
            f"{index.root} holds no index: run 'reelsift index build --tables TABLES --index {index.root}'"
        )


def pointer_trouble(index: Store) -> str | None:
    """What is wrong with live.json, in one line: it names a version that is not there. None if nothing is.

    Raises:
        IndexCorruptError: live.json does not parse.
    """
    pointer, numbers = live_pointer(index), version_numbers(index)
    if pointer is None or pointer.version in numbers:
        return None
    return (
        f"{index.path(LIVE_POINTER)} names version {pointer.version}, which is not there ({index.root} has: "
        f"{', '.join(map(str, numbers)) or 'none'}): restore it, or 'reelsift index publish --version N' another one"
    )


def require_live(index: Store, published: str | None) -> None:
    """Let nothing be removed while it is not known which version is live.

    Args:
        index: the index.
        published: the collection that the alias in Milvus leads to, or None: the other witness of a publish.

    Raises:
        IndexCorruptError: live.json does not parse, names a version that is not there, or is gone.
    """
    if trouble := pointer_trouble(index):
        raise IndexCorruptError(f"{trouble}; nothing was removed")
    if published and live_pointer(index) is None:
        raise IndexCorruptError(
            f"{index.path(LIVE_POINTER)} is gone, but a version was published (Milvus: {published}): restore it, or "
            "'reelsift index publish --version N' that one; nothing was removed"
        )
