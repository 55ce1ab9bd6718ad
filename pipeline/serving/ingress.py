"""Deployment behind the HTTP port: thin and asynchronous; two hops answer a query."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI

from pipeline.serving.admission import Admission
from pipeline.serving.envelope import App
from pipeline.serving.front import Front
from pipeline.serving.media_calls import MediaCalls
from pipeline.serving.service import Service
from pipeline.serving.sharded import Sharded
from pipeline.serving.stages import OneProcess
from schemas.config import ServeConfig


class Ingress:
    """Makes the service out of the deployments' handles, and its HTTP interface.

    Args:
        config: the settings of the job.
        front: what stands around the search.
        media: handle of `Media`; None where no videos are served.
        encoder: handle of `TextEncoder`.
        recaller: handle of `Reranker`; where there are rerank shards, of `StageOne`.
        shards: handles of `RerankShard`, in the order of their parts; none for both stages in one process.
    """

    def __init__(
        self, config: ServeConfig, front: Front, media: Any, encoder: Any, recaller: Any, *shards: Any
    ) -> None:
        self._front = front
        self._media = MediaCalls(media) if media else None
        self.service = Service(config, encoder, Sharded(recaller, shards) if shards else OneProcess(recaller))

    def __serve_build_asgi_app__(self) -> App:
        """The ASGI application, made in the replica. Serve's proxy sets the request id."""
        return self._front.app(
            self.service,
            self._media,
            self._lifespan,
            inside=lambda app: Admission(app, self.service.limiter),
            sets_request_id=False,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        del app
        async with self.service.running():
            yield
