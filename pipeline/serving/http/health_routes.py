"""Paths for whoever watches over the service."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from pipeline.serving.backend import Backend
from schemas.http import Health


def health_routes(backend: Backend) -> APIRouter:
    """GET /healthz and /readyz."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> Health:
        """The process lives."""
        return Health(status="ok")

    @router.get("/readyz", responses={503: {"model": Health, "description": "not ready; `reason` says why"}})
    async def readyz(response: Response) -> Health:
        """Searches can be answered."""
        trouble = await backend.trouble()
        if trouble is None:
            return Health(status="ready")
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Health(status="unavailable", reason=f"{trouble.detail.code}: {trouble.detail.message}")

    return router
