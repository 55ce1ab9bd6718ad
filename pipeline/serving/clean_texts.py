"""Texts of requests, cleaned as every search cleans them."""

from pipeline.ranking import clean_query
from pipeline.serving.errors import INVALID_REQUEST, FailureError, failure
from schemas.errors import UsageError
from schemas.http import BatchRequest, SearchRequest


def clean_search(request: SearchRequest) -> SearchRequest:
    """The request with its text cleaned.

    Raises:
        FailureError: 422: the text is none.

    >>> clean_search(SearchRequest(query=" a red star ")).query
    'a red star'
    """
    return request.model_copy(update={"query": _cleaned(request.query, "query")})


def clean_batch(request: BatchRequest) -> BatchRequest:
    """The request with its texts cleaned; may raise as `clean_search`."""
    queries = [_cleaned(query, f"queries.{place}") for place, query in enumerate(request.queries)]
    return request.model_copy(update={"queries": queries})


def _cleaned(query: str, field: str) -> str:
    try:
        return clean_query(query)
    except UsageError as error:
        raise FailureError(failure(422, INVALID_REQUEST, str(error), field)) from None
