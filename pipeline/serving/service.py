"""The service: answers requests by its deployments, within a time, and as many as it can."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

from pipeline.index.filter_expression import filter_expression
from pipeline.index.versions import live_manifest
from pipeline.ranking import EncodedQuery, choose_recall, elapsed_ms, now
from pipeline.serving.calls import call, call_all
from pipeline.serving.errors import (
    INVALID_REQUEST,
    MILVUS_UNAVAILABLE,
    NO_SUCH_CLIP,
    Failure,
    FailureError,
    failure,
    failure_of,
)
from pipeline.serving.limits.breaker import Breaker
from pipeline.serving.limits.deadline import Clock
from pipeline.serving.limits.follower import Follower
from pipeline.serving.limits.limiter import Limiter
from pipeline.serving.limits.milvus_watch import MilvusWatch
from pipeline.serving.messages import Ask, Encoded, EncodedBatch
from pipeline.serving.stages import BothStages
from pipeline.serving.telemetry.request_notes import current_notes
from pipeline.storage import Store
from schemas.config import ServeConfig
from schemas.errors import UsageError
from schemas.filters import FilterError, Tree
from schemas.http import BatchRequest, BatchResult, ClipInfo, IndexInfo, SearchOptions, SearchRequest, SimilarResult
from schemas.manifest import VersionManifest
from schemas.recall import RecallMode
from schemas.results import SearchResult

_T = TypeVar("_T")
POLL_S: Final = 2.0
# So many searches are admitted in any case, which keeps two cores and their stages busy; and so many at most.
LEAST_UNDER_WAY, MAX_UNDER_WAY = 4, 256
# As many queries of a batch count as one search under way: they share most of the work.
_BATCH_SHARE: Final = 4
# The way back, which the stages cannot see.
_REPLY_MS: Final = 3.0
# Nothing else is a clip's id, and an id stands in an expression of Milvus.
_CLIP_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Service:
    """The backend of the HTTP interface.

    Args:
        config: the settings of the job.
        encoder: handle of `TextEncoder`.
        stages: both stages.
    """

    def __init__(self, config: ServeConfig, encoder: Any, stages: BothStages) -> None:
        self._timeout_ms = 1000 * config.request_timeout_s
        self._encoder = encoder
        self._stages = stages
        index = Store(config.index)
        self.limiter = Limiter(config.max_wait_ms, LEAST_UNDER_WAY, MAX_UNDER_WAY)
        self.breaker = Breaker()
        self._follower = Follower(lambda: live_manifest(index), self._prepare, self._check, POLL_S)
        self._watch = MilvusWatch(self.breaker, lambda: self._follower.manifest, stages.recover)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the index and look after Milvus inside the `with`."""
        tasks = [asyncio.create_task(self._follower.follow()), asyncio.create_task(self._watch.watch())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    async def look(self) -> None:
        """Look for the published version, once."""
        await self._follower.look()

    async def search(self, request: SearchRequest) -> SearchResult:
        """Answer one query from the version that is live now.

        Raises:
            FailureError: nothing is published, too many searches are under way, Milvus is away, or the version cannot
                recall or be filtered in the way that is asked for.
            TimeoutError: there was no answer in time.
            ReelsiftError: a part of the index is away or damaged.
        """
        manifest = self._current()
        mode, expression = _mode(request.recall, manifest), _expression(request.filter, manifest)
        begin, clock = now(), self._clock(request.deadline_ms)
        with self.limiter.admitted():
            async with _until(clock):
                encoded: Encoded = await call(self._encoder.encode, manifest.version, request.query)
                query = replace(encoded.vectors, expression=expression)
                ask = _ask(request, mode, clock, explain=request.explain)
                answer = await self._milvus(self._stages.answer(manifest, query, ask))
                current_notes().together = {"encoder": encoded.batch, "recall": answer.batch}
                current_notes().reads = answer.reads
        return SearchResult(
            query=request.query,
            version=manifest.version,
            recall=mode,
            hits=answer.hits,
            timings_ms={"encode": encoded.encode_ms, **answer.timings_ms, "total": elapsed_ms(begin)},
            degraded=answer.degraded,
        )

    async def batch(self, request: BatchRequest) -> BatchResult:
        """Answer many queries, all of the version that is live now; may raise as `search`."""
        manifest = self._current()
        mode, expression = _mode(request.recall, manifest), _expression(request.filter, manifest)
        begin, clock = now(), self._clock(request.deadline_ms)
        with self.limiter.admitted(-(-len(request.queries) // _BATCH_SHARE), learn=False):
            async with _until(clock):
                encoded: EncodedBatch = await call(self._encoder.encode_batch, manifest.version, request.queries)
                queries: list[EncodedQuery] = [replace(one, expression=expression) for one in encoded.vectors]
                answers = await self._milvus(
                    self._stages.answer_batch(manifest, queries, _ask(request, mode, clock, explain=False))
                )
                # Of the whole batch, as each of its answers says.
                current_notes().reads = answers[0].reads
        timings_ms = {"encode": encoded.encode_ms, **answers[0].timings_ms, "total": elapsed_ms(begin)}
        results = [
            SearchResult(
                query=query,
                version=manifest.version,
                recall=mode,
                hits=answer.hits,
                timings_ms=timings_ms,
                degraded=answer.degraded,
            )
            for query, answer in zip(request.queries, answers, strict=True)
        ]
        return BatchResult(results=results, timings_ms=timings_ms)

    async def similar(self, clip_id: str, k: int) -> SimilarResult:
        """The k clips most like a clip; may raise as `search`, and 404 for a clip that is not there."""
        manifest, begin = self._current(), now()
        hits = await self._of_clip(clip_id, lambda: self._stages.similar(manifest, clip_id, k))
        timings_ms = {"total": elapsed_ms(begin)}
        return SimilarResult(clip_id=clip_id, version=manifest.version, hits=hits, timings_ms=timings_ms)

    async def clip(self, clip_id: str) -> ClipInfo:
        """What is known of a clip; may raise as `similar`."""
        manifest = self._current()
        return await self._of_clip(clip_id, lambda: self._stages.clip(manifest, clip_id))

    async def index(self) -> IndexInfo:
        """What new requests are answered from."""
        manifest = self._follower.manifest
        if manifest is None:
            return IndexInfo(
                version=None, revision=None, clips=0, frame_rows=0, model_id=None, codec=None, collection=None
            )
        return IndexInfo(**{name: getattr(manifest, name) for name in IndexInfo.model_fields})

    async def adopt(self, version: int | None) -> IndexInfo:
        """Look for the published version now.

        Raises:
            FailureError: 409: another version is published than `version`; or why the published one is not served.
        """
        await self._follower.look()
        if self._follower.outdated is not None:
            raise FailureError(self._follower.outdated)
        published = self._follower.published
        if version is not None and published not in (None, version):
            message = (
                f"version {published} is published, not {version}: run 'reelsift index publish --version {version}'"
            )
            raise FailureError(failure(409, "another_version", message, "version"))
        return await self.index()

    async def trouble(self) -> Failure | None:
        """Why a search would fail now, or None."""
        return self.breaker.trouble or self._follower.failing

    def _current(self) -> VersionManifest:
        if self.breaker.trouble is not None:
            raise FailureError(self.breaker.trouble)
        return self._follower.current()

    async def _check(self, manifest: VersionManifest) -> None:
        # Whoever watches Milvus is at it already.
        if self.breaker.trouble is not None:
            raise FailureError(self.breaker.trouble)
        await self._stages.check(manifest)

    async def _prepare(self, manifest: VersionManifest) -> None:
        await asyncio.gather(call_all(self._encoder, "warm", manifest.version), self._stages.warm(manifest))

    def _clock(self, deadline_ms: int | None) -> Clock:
        return Clock(self._timeout_ms if deadline_ms is None else min(deadline_ms, self._timeout_ms))

    async def _of_clip(self, clip_id: str, ask: Callable[[], Coroutine[Any, Any, _T | None]]) -> _T:
        found = None
        if _CLIP_ID.fullmatch(clip_id):
            with self.limiter.admitted(learn=False):
                async with _until(self._clock(None)):
                    found = await self._milvus(ask())
        if found is None:
            raise FailureError(failure(404, NO_SUCH_CLIP, f"no clip {clip_id[:64]!r} in the published version"))
        return found

    async def _milvus(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do what needs Milvus, and note whether that was there."""
        try:
            done = await self.breaker.guard(work)
        except Exception as error:
            known = failure_of(error)
            if known is not None and known.detail.code == MILVUS_UNAVAILABLE:
                self.breaker.failed(known.detail.message)
            raise
        self.breaker.succeeded()
        return done


def _until(clock: Clock) -> Any:
    return asyncio.timeout(clock.left_ms() / 1000)


def _ask(options: SearchOptions, mode: RecallMode, clock: Clock, *, explain: bool) -> Ask:
    budget_ms = clock.left_ms() - _REPLY_MS
    return Ask(options.k, options.recall_k, mode, budget_ms, options.rerank, explain and options.rerank)


def _mode(asked: RecallMode | None, manifest: VersionManifest) -> RecallMode:
    try:
        return choose_recall(asked, manifest)
    except UsageError as error:
        raise FailureError(failure(422, INVALID_REQUEST, str(error), "recall")) from None


def _expression(narrowed: Tree | None, manifest: VersionManifest) -> str:
    try:
        return filter_expression(narrowed, manifest.fields) if narrowed else ""
    except FilterError as error:
        raise FailureError(failure(422, INVALID_REQUEST, str(error), error.path)) from None
