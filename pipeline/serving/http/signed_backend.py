"""A backend whose answers say where a clip's video and picture are."""

from pipeline.serving.backend import Backend
from pipeline.serving.errors import Failure
from pipeline.serving.http.signed_links import Links
from schemas.http import BatchRequest, BatchResult, ClipInfo, IndexInfo, SearchRequest, SimilarResult
from schemas.results import SearchHit, SearchResult


class SignedBackend:
    """Passes requests on, and adds addresses to clips.

    Args:
        backend: what answers.
        links: makes the addresses.
    """

    def __init__(self, backend: Backend, links: Links) -> None:
        self._backend = backend
        self._links = links

    async def search(self, request: SearchRequest) -> SearchResult:
        """As `Backend.search`."""
        return self._result(await self._backend.search(request))

    async def batch(self, request: BatchRequest) -> BatchResult:
        """As `Backend.batch`."""
        found = await self._backend.batch(request)
        return found.model_copy(update={"results": [self._result(result) for result in found.results]})

    async def similar(self, clip_id: str, k: int) -> SimilarResult:
        """As `Backend.similar`."""
        found = await self._backend.similar(clip_id, k)
        return found.model_copy(update={"hits": self._hits(found.hits)})

    async def clip(self, clip_id: str) -> ClipInfo:
        """As `Backend.clip`."""
        found = await self._backend.clip(clip_id)
        middle_s = (found.start_s + found.end_s) / 2
        return found.model_copy(update=self._addresses(found.clip_id, middle_s))

    async def index(self) -> IndexInfo:
        """As `Backend.index`."""
        return await self._backend.index()

    async def adopt(self, version: int | None) -> IndexInfo:
        """As `Backend.adopt`."""
        return await self._backend.adopt(version)

    async def trouble(self) -> Failure | None:
        """As `Backend.trouble`."""
        return await self._backend.trouble()

    def _result(self, found: SearchResult) -> SearchResult:
        return found.model_copy(update={"hits": self._hits(found.hits)})

    def _hits(self, hits: list[SearchHit]) -> list[SearchHit]:
        return [hit.model_copy(update=self._addresses(hit.clip_id, shown_s(hit))) for hit in hits]

    def _addresses(self, clip_id: str, time_s: float) -> dict[str, str]:
        return {"media_url": self._links.media(clip_id), "thumbnail_url": self._links.thumbnail(clip_id, time_s)}


def shown_s(hit: SearchHit) -> float:
    """The presentation time of a hit's picture: its best frame, or the middle of the clip."""
    return hit.best_s if hit.best_s is not None else (hit.start_s + hit.end_s) / 2
