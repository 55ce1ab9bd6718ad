"""The HTTP interface as a FastAPI application over any backend. It knows no Ray."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from fastapi import FastAPI

from pipeline.serving.backend import Backend
from pipeline.serving.http.error_answers import add_error_answers
from pipeline.serving.http.health_routes import health_routes
from pipeline.serving.http.index_routes import index_routes
from pipeline.serving.http.search_routes import search_routes


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
    for routes in (search_routes, index_routes, health_routes):
        app.include_router(routes(backend))
    add_error_answers(app)
    return app
