"""The journal of an index: at most one change of its versions is under way, and it is known before it begins."""

from pydantic import ValidationError

from pipeline.storage import Store
from schemas.errors import IndexCorruptError, StorageError
from schemas.intent import DELETE, INTENT, Intent


def read_intent(index: Store) -> Intent | None:
    """The change that has begun and not ended, or None.

    Raises:
        IndexCorruptError: intent.json does not parse.
    """
    if not index.exists(INTENT):
        return None
    try:
        return Intent.model_validate_json(index.read(INTENT))
    except ValidationError as error:
        raise IndexCorruptError(
            f"{index.path(INTENT)} is damaged ({error.errors()[0]['msg']}): restore it, or remove it, "
            "give the change again that it stands for, and run 'reelsift verify --index'"
        ) from None


def begin(index: Store, intent: Intent) -> None:
    """Write down what will be done; the caller holds the index for writing.

    Raises:
        StorageError: another change has begun meanwhile, or the location refuses.
    """
    if not index.create(INTENT, intent.model_dump_json().encode()):
        raise StorageError(f"{index.path(INTENT)} is there already: run the same command again")


def end(index: Store) -> None:
    """All of it is done."""
    index.delete(INTENT)


def describe(index: Store, intent: Intent) -> str:
    """What has begun and how it is finished, in one line."""
    versions = ", ".join(str(change.version) for change in intent.changes) or "none"
    return (
        f"{index.root}: a {intent.action} that began {intent.created_utc} (index versions: {versions}) has not ended; "
        f"it is under way, or 'reelsift index update --tables {intent.tables} --index {index.root}' finishes it"
    )


def refuse_unfinished(index: Store, version: int | None = None) -> None:
    """Let nothing become live while it is being changed.

    Args:
        index: the index.
        version: what would become live, or None for any. A delete does not change a version without its clips.

    Raises:
        StorageError: a change has begun and not ended.
    """
    intent = read_intent(index)
    if intent is None:
        return
    if intent.action == DELETE and version is not None and version not in {one.version for one in intent.changes}:
        return
    raise StorageError(describe(index, intent))
