"""Messages of callers as the requests that the HTTP interface makes of its bodies, checked in the same words."""

from typing import Any, Final, TypeVar

from google.protobuf.message import Message
from pydantic import BaseModel, Field, ValidationError

from pipeline.serving.clean_texts import clean_batch, clean_search
from pipeline.serving.errors import INVALID_REQUEST, FailureError, failure
from pipeline.serving.grpc import reelsift_pb2 as pb
from pipeline.serving.http.invalid_request import explain_invalid
from schemas.filters import FilterError, Tree, parse_filter
from schemas.http import MAX_DEADLINE_MS, MAX_K, MIN_DEADLINE_MS, BatchRequest, SearchOptions, SearchRequest

_Model = TypeVar("_Model", bound=BaseModel)
_Options = TypeVar("_Options", bound=SearchOptions)
_JSON: Final = "application/json"


class SimilarRequest(BaseModel):
    """What GET /v1/similar/{clip_id} takes."""

    clip_id: str = ""
    k: int = Field(default=10, ge=1, le=MAX_K, strict=True)


def search_request(message: pb.SearchRequest, left_s: float | None) -> SearchRequest:
    """A search.

    Args:
        message: of the caller.
        left_s: seconds until the deadline of the call; None without one.

    Raises:
        FailureError: 422: it is wrong.
    """
    return _within(clean_search(_checked(SearchRequest, message)), left_s)


def batch_request(message: pb.BatchRequest, left_s: float | None) -> BatchRequest:
    """A batch; as `search_request`."""
    return _within(clean_batch(_checked(BatchRequest, message)), left_s)


def similar_request(message: pb.SimilarRequest) -> SimilarRequest:
    """A clip and how many like it; may raise as `search_request`."""
    return _checked(SimilarRequest, message)


def deadline_of(asked_ms: int | None, left_s: float | None) -> int | None:
    """The shorter of two deadlines, in milliseconds; None for neither.

    >>> deadline_of(None, None), deadline_of(200, 1.0), deadline_of(None, 0.5), deadline_of(200, 0.0)
    (None, 200, 500, 1)
    """
    if left_s is None:
        return asked_ms
    left_ms = max(MIN_DEADLINE_MS, min(MAX_DEADLINE_MS, int(left_s * 1000)))
    return left_ms if asked_ms is None else min(asked_ms, left_ms)


def _within(request: _Options, left_s: float | None) -> _Options:
    return request.model_copy(update={"deadline_ms": deadline_of(request.deadline_ms, left_s)})


def _checked(kind: type[_Model], message: Message) -> _Model:
    # Only what the caller has set: for the rest the model has its own defaults.
    facts: dict[str, Any] = {field.name: value for field, value in message.ListFields()}
    if "queries" in facts:
        facts["queries"] = list(facts["queries"])
    if "filter" in facts:
        facts["filter"] = _filter(facts["filter"])
    try:
        return kind.model_validate(facts)
    except ValidationError as error:
        first: dict[str, Any] = {**error.errors()[0]}
        # As FastAPI says it, so that the explanation is that of the HTTP interface.
        first["loc"] = ("body", *first["loc"])
        raise FailureError(explain_invalid([first], _JSON)) from None


def _filter(text: str) -> Tree:
    try:
        return parse_filter(text)
    except FilterError as error:
        raise FailureError(failure(422, INVALID_REQUEST, str(error), error.path)) from None
