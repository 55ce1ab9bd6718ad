"""Deployment at the ports: thin and asynchronous; two hops answer a query."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import FastAPI

from pipeline.serving.front import Front
from pipeline.serving.grpc.calls import Calls
from pipeline.serving.grpc.grpc_listener import GrpcListener
from pipeline.serving.http.admission import Admission
from pipeline.serving.http.listener import Listener
from pipeline.serving.media_calls import MediaCalls
from pipeline.serving.service import Service
from pipeline.serving.sharded import Sharded
from pipeline.serving.stages import OneProcess
from schemas.config import ServeConfig

# Requests under way end within this, when the service or a replica does.
GRACE_S: Final = 10


class Ingress:
    """Makes the service out of the deployments' handles, and its interfaces.

    Args:
        config: the settings of the job.
        front: what stands around the search.
        media: handle of `Media`; None where no videos are served.
        encoder: handle of `TextEncoder`.
        recaller: handle of `Reranker`; where there are rerank shards, of `StageOne`.
        shards: handles of `RerankShard`, in the order of their parts; none for both stages in one process.
    """

    # Ray Serve awaits both: the replica is there when it listens, and gone when it has answered what it began.
    async def __init__(  # type: ignore[misc]
        self, config: ServeConfig, front: Front, media: Any, encoder: Any, recaller: Any, *shards: Any
    ) -> None:
        self.service = Service(config, encoder, Sharded(recaller, shards) if shards else OneProcess(recaller))
        source = MediaCalls(media) if media else None
        desk = front.desk(self.service, source)
        app = front.app(
            self.service,
            source,
            self._lifespan,
            inside=lambda paths: Admission(paths, self.service.limiter),
            desk=desk,
        )
        self._listeners: list[Listener | GrpcListener] = [Listener(app, config.host, config.port, GRACE_S)]
        if config.grpc_port is not None:
            self._listeners.append(GrpcListener(Calls(desk), config.host, config.grpc_port, GRACE_S))
        for listener in self._listeners:
            await listener.start()

    async def __del__(self) -> None:
        await self.drain()

    async def drain(self) -> None:
        """Take no more requests, and return when those under way are answered, or their time is over."""
        await asyncio.gather(*(listener.stop() for listener in self._listeners))

    def check_health(self) -> None:
        """What Ray Serve asks from time to time.

        Raises:
            RuntimeError: nothing listens any more; the replica is replaced.
        """
        for listener in self._listeners:
            listener.check()

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        del app
        async with self.service.running():
            yield
