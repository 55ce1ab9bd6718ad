"""Failures of the HTTP interface as gRPC tells them: a code, a line, and the rest as trailing metadata."""

from typing import Final

import grpc

from pipeline.serving.errors import Failure

# Both travel as headers, of which clients take 8 KiB by default.
_MESSAGE_CHARS: Final = 1000
_FIELD_CHARS: Final = 200
_CODES: Final = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def code_of(what: Failure) -> grpc.StatusCode:
    """The code of gRPC for a failure; INTERNAL for one that has none of its own."""
    return _CODES.get(what.status, grpc.StatusCode.INTERNAL)


def message_of_failure(what: Failure) -> str:
    """The line, cut to what a header may have."""
    return what.detail.message[:_MESSAGE_CHARS]


def trailing_of(what: Failure) -> tuple[tuple[str, str], ...]:
    r"""`error-code`, and where there are any `error-field` and `retry-after-ms`.

    >>> from pipeline.serving.errors import failure
    >>> trailing_of(failure(429, "overloaded", "try again"))
    (('error-code', 'overloaded'), ('retry-after-ms', '1000'))
    >>> trailing_of(failure(422, "invalid_request", "no", "filter.ö"))
    (('error-code', 'invalid_request'), ('error-field', 'filter.\\xf6'))
    """
    pairs = [("error-code", what.detail.code)]
    if what.detail.field is not None:
        # A caller may have named it, and metadata are printable ASCII.
        pairs.append(("error-field", ascii(what.detail.field)[1:-1][:_FIELD_CHARS]))
    if what.retry_after_s is not None:
        pairs.append(("retry-after-ms", str(1000 * what.retry_after_s)))
    return tuple(pairs)
