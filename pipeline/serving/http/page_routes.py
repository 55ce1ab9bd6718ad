"""The search page and its parts, out of this package: nothing is loaded from anywhere else."""

from hashlib import sha256
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Request, Response

from pipeline.serving.errors import FailureError, failure

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_PAGE: Final = "index.html"


def page_routes() -> APIRouter:
    """GET / and GET /page/{name}."""
    router = APIRouter(include_in_schema=False)
    folder = files("pipeline.serving.http") / "page"
    parts = {part.name: part.read_bytes() for part in folder.iterdir() if part.name.rpartition(".")[2] in _TYPES}

    def shown(name: str, request: Request) -> Response:
        body = parts.get(name)
        if body is None:
            raise FailureError(failure(404, "not_found", "the page has no such part"))
        etag = f'"{sha256(body).hexdigest()[:20]}"'
        headers = {"etag": etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == etag:
            return Response(None, 304, headers)
        return Response(body, 200, headers, _TYPES[name.rpartition(".")[2]])

    @router.get("/")
    async def page(request: Request) -> Response:
        return shown(_PAGE, request)

    @router.get("/page/{name}")
    async def part(name: str, request: Request) -> Response:
        return shown(name, request)

    return router
