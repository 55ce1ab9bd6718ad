"""Deployment behind the HTTP port: thin and asynchronous; two hops answer a query."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from fastapi import FastAPI
from ray.exceptions import RayActorError
from ray.serve.exceptions import DeploymentUnavailableError

from pipeline.index.filter_expression import filter_expression
from pipeline.index.versions import live_manifest
from pipeline.ranking import choose_recall, elapsed_ms, now
from pipeline.serving.envelope import App, Envelope
from pipeline.serving.errors import INVALID_REQUEST, Failure, FailureError, failure
from pipeline.serving.follower import Follower
from pipeline.serving.http_app import build_app
from pipeline.serving.messages import Answer, Encoded, VersionKey, key_of
from pipeline.storage import Store
from schemas.config import ServeConfig
from schemas.errors import UsageError
from schemas.filters import FilterError, Tree
from schemas.http import BatchRequest, BatchResult, ClipInfo, IndexInfo, SearchRequest, SimilarResult
from schemas.manifest import VersionManifest
from schemas.recall import RecallMode
from schemas.results import SearchResult

POLL_S = 2.0
# Beyond this many searches at once the next one is told to come back, which keeps the wait of the others bounded.
MAX_IN_FLIGHT = 64


class Ingress:
    """The backend of the HTTP interface on Ray Serve.

    Args:
        config: the settings of the job.
        encoder: handle of `TextEncoder`.
        reranker: handle of `Reranker`.
    """

    def __init__(self, config: ServeConfig, encoder: Any, reranker: Any) -> None:
        self._timeout_s = config.request_timeout_s
        self._encoder = encoder
        self._reranker = reranker
        index = Store(config.index)
        self._follower = Follower(lambda: live_manifest(index), self._prepare, self._check, POLL_S)
        self._in_flight = 0

    def __serve_build_asgi_app__(self) -> App:
        """The ASGI application, made in the replica. Serve's proxy sets the request id."""
        return Envelope(build_app(self, self._lifespan), sets_request_id=False)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(self._follower.follow())
        try:
            yield
        finally:
            following.cancel()

    async def search(self, request: SearchRequest) -> SearchResult:
        """Answer one query from the version that is live now.

        Raises:
            FailureError: nothing is published, too many searches are under way, or the version cannot recall or be
                filtered in the way that is asked for.
            TimeoutError: it took longer than the limit.
            ReelsiftError: a part of the index is away or damaged.
        """
        if self._in_flight >= MAX_IN_FLIGHT:
            raise FailureError(failure(429, "overloaded", f"{MAX_IN_FLIGHT} searches are under way: try again"))
        manifest = self._follower.current()
        mode, expression = _mode(request.recall, manifest), _expression(request.filter, manifest)
        self._in_flight += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._search(key_of(manifest), request, mode, expression)
        finally:
            self._in_flight -= 1

    async def _search(self, key: VersionKey, request: SearchRequest, mode: RecallMode, expression: str) -> SearchResult:
        begin = now()
        encoded: Encoded = await _call(self._encoder.encode, key.version, request.query)
        query = replace(encoded.vectors, expression=expression)
        answer: Answer = await _call(self._reranker.answer, key, query, request.k, request.recall_k, mode)
        timings_ms = {"encode": encoded.encode_ms, **answer.timings_ms, "total": elapsed_ms(begin)}
        return SearchResult(
            query=request.query, version=key.version, recall=mode, hits=answer.hits, timings_ms=timings_ms, degraded=[]
        )

    async def index(self) -> IndexInfo:
        """What new requests are answered from."""
        manifest = self._follower.manifest
        if manifest is None:
            return IndexInfo(
                version=None, revision=None, clips=0, frame_rows=0, model_id=None, codec=None, collection=None
            )
        return IndexInfo(**{name: getattr(manifest, name) for name in IndexInfo.model_fields})

    async def batch(self, request: BatchRequest) -> BatchResult:
        """Answer many queries."""
        raise FailureError(failure(501, "not_implemented", "batches are not answered yet"))

    async def similar(self, clip_id: str, k: int) -> SimilarResult:
        """The clips most like a clip."""
        raise FailureError(failure(501, "not_implemented", "not answered yet"))

    async def clip(self, clip_id: str) -> ClipInfo:
        """What is known of a clip."""
        raise FailureError(failure(501, "not_implemented", "not answered yet"))

    async def adopt(self, version: int | None) -> IndexInfo:
        """Look for the published version now."""
        raise FailureError(failure(501, "not_implemented", "not answered yet"))

    async def trouble(self) -> Failure | None:
        """Why a search would fail now, or None."""
        return self._follower.trouble

    async def _prepare(self, manifest: VersionManifest) -> None:
        await asyncio.gather(
            _call(self._encoder.warm, manifest.version),
            _call(self._reranker.warm, key_of(manifest)),
        )

    async def _check(self, manifest: VersionManifest) -> None:
        await _call(self._reranker.check, key_of(manifest))


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


async def _call(method: Any, *args: Any) -> Any:
    """Call a deployment. A replica that dies under the call is replaced, and the same question asked once more."""
    with contextlib.suppress(RayActorError):
        return await method.remote(*args)
    try:
        return await method.remote(*args)
    except (RayActorError, DeploymentUnavailableError) as error:
        message = "a part of the service is being restarted: try again in a moment"
        raise FailureError(failure(503, "restarting", message)) from error
