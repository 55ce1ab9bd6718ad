"""A backend of fixed answers, for tests of what stands around it."""

import asyncio

from pipeline.serving.errors import FailureError, failure
from schemas.http import BatchResult, ClipInfo, IndexInfo, SimilarResult
from schemas.results import SearchHit, SearchResult

CLIPS = ("c1", "c2", "c3")


def hit_of(clip_id, rank=1, **more):
    """A fine hit."""
    facts = {"rank": rank, "clip_id": clip_id, "video_id": "v1", "uri": "/no/such/a.mp4", "start_s": 0.0, "end_s": 2.0}
    scores = {"best_s": 1.5, "score": 0.5, "coarse_score": 0.4, "stage": "fine"}
    return SearchHit(**(facts | scores | more))


class FakeBackend:
    """Answers from three clips; `error` is raised in the place of a search, `uris` overrule where a clip lies."""

    def __init__(self, error=None, uris=None, trouble=None):
        self.error = error
        self.uris = uris or {}
        self.asked = []
        self._trouble = trouble

    def _hits(self, k):
        return [hit_of(clip_id, rank) for rank, clip_id in enumerate(CLIPS[:k], start=1)]

    async def search(self, request):
        self.asked.append(request)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        timings_ms = {"encode": 2.0, "recall": 3.0, "recall_coarse": 1.0, "read": 0.5, "score": 1.5, "total": 10.0}
        return SearchResult(
            query=request.query, version=3, recall="both", hits=self._hits(request.k), timings_ms=timings_ms,
            degraded=["fewer_candidates"] if request.deadline_ms else [],
        )  # fmt: skip

    async def batch(self, request):
        self.asked.append(request)
        results = [
            SearchResult(query=q, version=3, recall="both", hits=self._hits(request.k), timings_ms={}, degraded=[])
            for q in request.queries
        ]
        return BatchResult(results=results, timings_ms={"total": 12.0})

    async def similar(self, clip_id, k):
        await self.clip(clip_id)
        return SimilarResult(clip_id=clip_id, version=3, hits=self._hits(k), timings_ms={"total": 1.0})

    async def clip(self, clip_id):
        if clip_id not in CLIPS:
            raise FailureError(failure(404, "no_such_clip", f"version 3 has no clip {clip_id[:40]!r}"))
        uri = self.uris.get(clip_id, "/no/such/a.mp4")
        fields = {"width": 128, "category": None}
        return ClipInfo(clip_id=clip_id, video_id="v1", version=3, uri=uri, start_s=0.0, end_s=2.0, fields=fields)

    async def index(self):
        return IndexInfo(version=3, revision=2, clips=7, frame_rows=80, model_id="m", codec="fp16", collection="c")

    async def adopt(self, version):
        if version not in (None, 3):
            raise FailureError(failure(409, "another_version", "version 3 is published"))
        return await self.index()

    async def trouble(self):
        return self._trouble
