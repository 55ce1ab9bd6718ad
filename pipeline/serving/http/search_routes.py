"""Paths that rank clips."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query

from pipeline.serving.backend import Backend
from pipeline.serving.clean_texts import clean_batch, clean_search
from pipeline.serving.http.answer_examples import answered
from pipeline.serving.http.error_answers import NO_SUCH_CLIP, described
from schemas.http import MAX_K, BatchRequest, BatchResult, SearchRequest, SimilarResult
from schemas.results import SearchResult

ClipId = Annotated[str, Path(description="As a search gives it.", examples=["c0123456789abcdef0123"])]
_SEARCH_ERRORS = (413, 422, 429, 500, 503, 504)


def search_routes(backend: Backend) -> APIRouter:
    """POST /v1/search, POST /v1/search:batch and GET /v1/similar/{clip_id}."""
    router = APIRouter(tags=["search"])

    @router.post("/v1/search", responses=answered(SearchResult) | described(*_SEARCH_ERRORS))
    async def search(request: Annotated[SearchRequest, Body()]) -> SearchResult:
        """Rank clips for a text.

        The `recall_k` candidates of the first stage are scored finely and rank above all others. Scores leave out
        the factor exp(logit_scale). The stages of `timings_ms` are work, those named `recall_...` parts of `recall`;
        what `total` has more is passed between.
        """
        return await backend.search(clean_search(request))

    @router.post("/v1/search:batch", responses=answered(BatchResult) | described(*_SEARCH_ERRORS))
    async def batch(request: Annotated[BatchRequest, Body()]) -> BatchResult:
        """Rank clips for many texts with the same options, in less time than one by one.

        Each result is what a search for that text alone answers, and all are of one version. The stages of
        `timings_ms` are those of the whole batch.
        """
        return await backend.batch(clean_batch(request))

    @router.get(
        "/v1/similar/{clip_id}",
        responses=answered(SimilarResult) | described(422, 429, 500, 503, 504, s404=NO_SUCH_CLIP),
    )
    async def similar(clip_id: ClipId, k: Annotated[int, Query(ge=1, le=MAX_K)] = 10) -> SimilarResult:
        """The clips whose coarse vectors are nearest to that of a clip, without the clip itself."""
        return await backend.similar(clip_id, k)

    return router
