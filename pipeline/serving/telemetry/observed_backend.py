"""A backend whose answers are counted and noted."""

from pipeline.serving.backend import Backend
from pipeline.serving.errors import Failure
from pipeline.serving.telemetry.metrics import Metrics
from pipeline.serving.telemetry.request_notes import current_notes
from schemas.http import BatchRequest, BatchResult, ClipInfo, IndexInfo, SearchRequest, SimilarResult
from schemas.results import SearchResult


class ObservedBackend:
    """Passes requests on, and keeps account of them.

    Args:
        backend: what answers.
        metrics: where figures go.
    """

    def __init__(self, backend: Backend, metrics: Metrics) -> None:
        self._backend = backend
        self._metrics = metrics

    async def search(self, request: SearchRequest) -> SearchResult:
        """As `Backend.search`."""
        notes = current_notes()
        notes.queries = [request.query]
        found = await self._backend.search(request)
        notes.version, notes.hits = found.version, len(found.hits)
        notes.timings_ms, notes.degraded = found.timings_ms, found.degraded
        self._metrics.searched(found.timings_ms, found.degraded)
        self._metrics.read(notes.reads)
        self._metrics.taken_together(notes.together)
        return found

    async def batch(self, request: BatchRequest) -> BatchResult:
        """As `Backend.batch`."""
        notes = current_notes()
        notes.queries = request.queries
        found = await self._backend.batch(request)
        notes.version, notes.hits = found.results[0].version, sum(len(result.hits) for result in found.results)
        notes.timings_ms = found.timings_ms
        notes.degraded = sorted({step for result in found.results for step in result.degraded})
        self._metrics.batched(len(found.results))
        self._metrics.searched({}, notes.degraded)
        self._metrics.read(notes.reads)
        return found

    async def similar(self, clip_id: str, k: int) -> SimilarResult:
        """As `Backend.similar`."""
        notes = current_notes()
        found = await self._backend.similar(clip_id, k)
        notes.version, notes.hits, notes.timings_ms = found.version, len(found.hits), found.timings_ms
        return found

    async def clip(self, clip_id: str) -> ClipInfo:
        """As `Backend.clip`."""
        found = await self._backend.clip(clip_id)
        current_notes().version = found.version
        return found

    async def index(self) -> IndexInfo:
        """As `Backend.index`."""
        return await self._backend.index()

    async def adopt(self, version: int | None) -> IndexInfo:
        """As `Backend.adopt`."""
        return await self._backend.adopt(version)

    async def trouble(self) -> Failure | None:
        """As `Backend.trouble`."""
        return await self._backend.trouble()
