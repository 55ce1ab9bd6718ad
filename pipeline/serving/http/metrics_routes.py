"""The path that Prometheus reads."""

from typing import Any

from fastapi import APIRouter, Response

from pipeline.serving.backend import Backend
from pipeline.serving.telemetry.metrics import CONTENT_TYPE, Metrics


def metrics_routes(backend: Backend, metrics: Metrics) -> APIRouter:
    """GET /metrics."""
    router = APIRouter(tags=["health"])
    text: dict[int | str, dict[str, Any]] = {
        200: {"description": "the figures", "content": {"text/plain": {"schema": {"type": "string"}}}}
    }

    @router.get("/metrics", response_class=Response, responses=text)
    async def exposition() -> Response:
        """Figures in the text format of Prometheus."""
        body = metrics.exposition(await backend.index(), await backend.trouble())
        return Response(body, 200, media_type=CONTENT_TYPE)

    return router
