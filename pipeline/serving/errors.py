"""What a failed request answers: a status and an ErrorBody, never a traceback."""

from dataclasses import dataclass

from schemas.errors import (
    IndexCorruptError,
    IndexMissingError,
    ModelMismatchError,
    ReelsiftError,
    StorageError,
    UnknownModelError,
    UsageError,
    VectorStoreError,
)
from schemas.http import ErrorBody, ErrorDetail

INDEX_EMPTY = "index_empty"
INVALID_REQUEST = "invalid_request"
INTERNAL = "internal"
MILVUS_UNAVAILABLE = "milvus_unavailable"
NO_SUCH_CLIP = "no_such_clip"
RESTARTING = "restarting"

# The first class that matches wins, so subclasses stand above their bases.
_KNOWN: tuple[tuple[type[ReelsiftError], int, str], ...] = (
    (IndexMissingError, 503, INDEX_EMPTY),
    (VectorStoreError, 503, MILVUS_UNAVAILABLE),
    (StorageError, 503, "storage_unavailable"),
    (ModelMismatchError, 503, "model_unavailable"),
    (UnknownModelError, 503, "model_unavailable"),
    (IndexCorruptError, 500, "index_corrupt"),
    # Requests are checked before they get here: what is left is how the index was set up.
    (UsageError, 503, "misconfigured"),
)


@dataclass(frozen=True)
class Failure:
    """An error answer.

    Attributes:
        status: HTTP status.
        detail: the body.
        retry_after_s: value of Retry-After, where trying again can help.
    """

    status: int
    detail: ErrorDetail
    retry_after_s: int | None = None

    def body(self) -> bytes:
        """The ErrorBody as JSON."""
        return ErrorBody(error=self.detail).model_dump_json().encode()

    def headers(self) -> dict[str, str]:
        """Headers besides the content type."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


class FailureError(Exception):
    """Ends a request with this answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail.message)
        self.failure = failure


def failure(status: int, code: str, message: str, field: str | None = None) -> Failure:
    """An error answer; every 429 and 503 invites to come back.

    >>> failure(404, "not_found", "no such path").status
    404
    """
    detail = ErrorDetail(code=code, message=" ".join(message.split()), field=field)
    return Failure(status, detail, retry_after_s=1 if status in {429, 503} else None)


def failure_of(error: BaseException) -> Failure | None:
    """The answer for an error that we know, else None.

    Ray hands over an error of another process as a class that is both its own and the original; only the original,
    in `cause`, has a message without a traceback.

    >>> failure_of(VectorStoreError("Milvus is away")).status
    503
    >>> failure_of(KeyError("x")) is None
    True
    """
    if isinstance(error, FailureError):
        return error.failure
    original = getattr(error, "cause", None)
    if isinstance(original, BaseException):
        error = original
    if isinstance(error, TimeoutError):
        return failure(504, "timeout", "no answer in time: allow a longer deadline_ms, or ask for a smaller recall_k")
    for kind, status, code in _KNOWN:
        if isinstance(error, kind):
            return failure(status, code, str(error))
    return None
