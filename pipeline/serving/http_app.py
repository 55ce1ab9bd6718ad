"""The HTTP interface as a FastAPI application over any backend: paths, bodies, errors. It knows no Ray."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from fastapi import Body, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from pipeline.ranking import clean_query
from pipeline.serving.envelope import internal_failure
from pipeline.serving.errors import INVALID_REQUEST, Failure, FailureError, failure, failure_of
from schemas.errors import ReelsiftError, UsageError
from schemas.filters import explain_filter
from schemas.http import ErrorBody, Health, IndexInfo, SearchRequest
from schemas.results import SearchResult

_SHOWN_CHARS = 60
_JSON = "application/json"
_SEARCH_ERRORS = {
    413: "the body is over 64 KiB",
    422: "the request is wrong; `field` names the part",
    429: "too many searches at once; see Retry-After",
    500: "a failure of the server",
    503: "nothing is published (code index_empty), or Milvus is away (code milvus_unavailable)",
    504: "the search took too long",
}


class Backend(Protocol):
    """What the interface needs."""

    async def search(self, request: SearchRequest) -> SearchResult:
        """Answer a query, or raise a FailureError or a ReelsiftError."""

    async def index(self) -> IndexInfo:
        """What new requests are answered from."""

    async def trouble(self) -> Failure | None:
        """Why a search would fail now, or None."""


class Lifespan(Protocol):
    """Made around the application's life, as FastAPI's `lifespan`."""

    def __call__(self, app: FastAPI) -> AbstractAsyncContextManager[None]:
        """Enter when the application starts, leave when it stops."""


def build_app(backend: Backend, lifespan: Lifespan | None = None) -> FastAPI:
    """The application. Wrap it in `Envelope`, which adds request ids and the body limit.

    Args:
        backend: answers the queries.
        lifespan: runs around the application's life.
    """
    app = FastAPI(
        title="Reelsift",
        summary="Text-to-video retrieval: coarse recall in Milvus, then a text-gated rerank over fine tokens.",
        version="1",
        lifespan=lifespan,
        redirect_slashes=False,
        # Their pages load scripts from a foreign host; /openapi.json says the same.
        docs_url=None,
        redoc_url=None,
    )
    _add_search(app, backend)
    _add_health(app, backend)
    _add_error_answers(app)
    return app


def _add_search(app: FastAPI, backend: Backend) -> None:
    @app.post("/v1/search", responses=_described(_SEARCH_ERRORS), tags=["search"])
    async def search(request: Annotated[SearchRequest, Body()]) -> SearchResult:
        """Rank clips for a text.

        The `recall_k` candidates of the first stage are scored finely and rank above all others. Scores leave out
        the factor exp(logit_scale). The stages of `timings_ms` are work, those named `recall_...` parts of `recall`;
        what `total` has more is passed between.
        """
        return await backend.search(_cleaned(request))

    @app.get("/v1/index", responses=_described({500: _SEARCH_ERRORS[500]}), tags=["search"])
    async def index() -> IndexInfo:
        """The published version that new requests are answered from; `version` is null while there is none."""
        return await backend.index()


def _cleaned(request: SearchRequest) -> SearchRequest:
    try:
        return request.model_copy(update={"query": clean_query(request.query)})
    except UsageError as error:
        raise FailureError(failure(422, INVALID_REQUEST, str(error), "query")) from None


def _add_health(app: FastAPI, backend: Backend) -> None:
    @app.get("/healthz", tags=["health"])
    async def healthz() -> Health:
        """The process lives."""
        return Health(status="ok")

    @app.get(
        "/readyz", responses={503: {"model": Health, "description": "not ready; `reason` says why"}}, tags=["health"]
    )
    async def readyz(response: Response) -> Health:
        """Searches can be answered."""
        trouble = await backend.trouble()
        if trouble is None:
            return Health(status="ready")
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Health(status="unavailable", reason=f"{trouble.detail.code}: {trouble.detail.message}")


def _described(statuses: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody, "description": text} for status, text in statuses.items()}


def _add_error_answers(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _answer(explain_invalid(error.errors(), request.headers.get("content-type", "")))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return _answer(_refusal(request, error), dict(error.headers or {}))

    @app.exception_handler(FailureError)
    async def failed(request: Request, error: FailureError) -> Response:
        return _answer(error.failure)

    @app.exception_handler(ReelsiftError)
    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        return _answer(failure_of(error) or internal_failure(request.scope["state"]["request_id"]))


def _answer(what: Failure, headers: dict[str, str] | None = None) -> Response:
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


def explain_invalid(errors: Sequence[Any], content_type: str) -> Failure:
    """One line for the first thing that is wrong with a request.

    >>> error = {"type": "less_than_equal", "loc": ("body", "k"), "msg": "Input should be <= 1000", "input": 2000}
    >>> explain_invalid([error], "application/json").detail.message
    'k = 2000: Input should be <= 1000'
    """
    first = errors[0]
    path = [str(part) for part in first["loc"] if part != "body"]
    if first["type"] == "json_invalid":
        at = f" (character {path[0]})" if path else ""
        reason = first.get("ctx", {}).get("error", first["msg"])
        return failure(422, INVALID_REQUEST, f"the body is not JSON: {reason}{at}", "body")
    if not path:
        return failure(422, INVALID_REQUEST, _explain_body(first, content_type), "body")
    if path[0] == "filter":
        return _explain_filter(first)
    field = ".".join(path)[:_SHOWN_CHARS]
    if first["type"] == "missing":
        return failure(422, INVALID_REQUEST, f"{field} is missing", field)
    if first["type"] == "extra_forbidden":
        known = ", ".join(SearchRequest.model_fields)
        return failure(422, INVALID_REQUEST, f"unknown field {field!r}: known are {known}", field)
    shown = ascii(first["input"])
    shown = shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}..."
    return failure(422, INVALID_REQUEST, f"{field} = {shown}: {first['msg']}", field)


def _explain_filter(error: dict[str, Any]) -> Failure:
    steps = error["loc"][error["loc"].index("filter") + 1 :]
    field, message = explain_filter({**error, "loc": steps})
    return failure(422, INVALID_REQUEST, f"{field}: {message}", field)


def _explain_body(error: dict[str, Any], content_type: str) -> str:
    if error["type"] == "missing":
        return "the body is missing: send a JSON object with 'query'"
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if kind != _JSON and not kind.endswith("+json"):
        return f"the content type is {kind[:_SHOWN_CHARS]!a}: send 'Content-Type: application/json'"
    return "the body must be a JSON object with 'query'"
