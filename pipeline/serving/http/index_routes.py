"""Paths that tell of the index, and the one that switches it."""

from typing import Annotated

from fastapi import APIRouter, Body

from pipeline.serving.backend import Backend
from pipeline.serving.http.answer_examples import answered
from pipeline.serving.http.error_answers import NO_SUCH_CLIP, described
from pipeline.serving.http.search_routes import ClipId
from schemas.http import AdminIndexRequest, ClipInfo, IndexInfo


def index_routes(backend: Backend) -> APIRouter:
    """GET /v1/index, GET /v1/clips/{clip_id} and POST /admin/v1/index."""
    router = APIRouter()

    @router.get("/v1/index", responses=answered(IndexInfo) | described(500), tags=["search"])
    async def index() -> IndexInfo:
        """The published version that new requests are answered from; `version` is null while there is none."""
        return await backend.index()

    @router.get(
        "/v1/clips/{clip_id}",
        responses=answered(ClipInfo) | described(422, 429, 500, 503, 504, s404=NO_SUCH_CLIP),
        tags=["search"],
    )
    async def clip(clip_id: ClipId) -> ClipInfo:
        """A clip of the published version: where it is, and the fields that a filter may name."""
        return await backend.clip(clip_id)

    @router.post(
        "/admin/v1/index", responses=answered(IndexInfo) | described(409, 413, 422, 500, 503, 504), tags=["admin"]
    )
    async def adopt(request: Annotated[AdminIndexRequest, Body()]) -> IndexInfo:
        """Look for the published version now instead of within two seconds.

        With `version`, 200 says that it is what new requests are answered from. Requests under way end on the version
        that they began with.
        """
        return await backend.adopt(request.version)

    return router
