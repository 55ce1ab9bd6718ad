"""Every way in which a request can fail, as an answer with an ErrorBody."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from pipeline.serving.errors import INVALID_REQUEST, Failure, FailureError, failure, failure_of
from pipeline.serving.http.answer_examples import error_example
from pipeline.serving.http.envelope import internal_failure
from pipeline.serving.http.invalid_request import explain_invalid
from schemas.errors import ReelsiftError
from schemas.http import AdminIndexRequest, BatchRequest, ErrorBody, SearchRequest

_JSON = "application/json"
_SHOWN_CHARS = 60
_BODIES: dict[str, type[BaseModel]] = {
    "/v1/search": SearchRequest,
    "/v1/search:batch": BatchRequest,
    "/admin/v1/index": AdminIndexRequest,
}
_MEANINGS = {
    409: "another version is published than the one that was named (code another_version)",
    413: "the body is over the limit",
    422: "the request is wrong; `field` names the part",
    429: "too many searches at once; see Retry-After",
    500: "a failure of the server",
    503: "nothing is published (code index_empty), or Milvus is away (code milvus_unavailable)",
    504: "the search took too long, or would have: `deadline_ms` is too short for any answer",
}
NO_SUCH_CLIP = "the published version has no such clip (code no_such_clip)"


def described(*statuses: int, **meanings: str) -> dict[int | str, dict[str, Any]]:
    """The error answers of a path, for its description.

    Args:
        statuses: those with the meaning that they have everywhere.
        meanings: of others, by `s404="..."`.
    """
    texts = {status: _MEANINGS[status] for status in statuses} | {int(k[1:]): text for k, text in meanings.items()}
    return {
        status: {
            "model": ErrorBody,
            "description": text,
            "content": {"application/json": {"example": error_example(status)}},
        }
        for status, text in sorted(texts.items())
    }


def add_error_answers(app: FastAPI) -> None:
    """Let every failure of the application answer an ErrorBody."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        body = _BODIES.get(request.url.path)
        known = body.model_fields if body else ()
        return answer(explain_invalid(error.errors(), request.headers.get("content-type", ""), known))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return answer(_refusal(request, error), dict(error.headers or {}))

    @app.exception_handler(FailureError)
    async def failed(request: Request, error: FailureError) -> Response:
        return answer(error.failure)

    @app.exception_handler(ReelsiftError)
    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        return answer(failure_of(error) or internal_failure(request.scope["state"]["request_id"]))


def answer(what: Failure, headers: dict[str, str] | None = None) -> Response:
    """A failure as a response."""
    return Response(what.body(), what.status, {**(headers or {}), **what.headers()}, _JSON)


def _refusal(request: Request, error: HTTPException) -> Failure:
    status, path = error.status_code, request.url.path
    if status == HTTPStatus.NOT_FOUND:
        return failure(status, "not_found", f"no such path {path[:_SHOWN_CHARS]!r}: see /openapi.json")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = dict(error.headers or {}).get("Allow", "another method")
        return failure(status, "method_not_allowed", f"{request.method} is not for {path}: use {allowed}")
    if status == HTTPStatus.BAD_REQUEST:
        # FastAPI's answer to a body that breaks the JSON parser in other ways than by its grammar.
        return failure(422, INVALID_REQUEST, "the body cannot be read as UTF-8 JSON", "body")
    return failure(status, "http_error", str(error.detail))
