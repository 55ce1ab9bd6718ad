"""The service with real stores and without Ray: its deployments are objects of one process."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

from pipeline.query_encoding import encode_query
from pipeline.serving.messages import Encoded, EncodedBatch
from pipeline.serving.replicas.recaller import StageOne
from pipeline.serving.replicas.rerank_shard import RerankShard
from pipeline.serving.replicas.reranker import Reranker
from pipeline.serving.service import Service
from pipeline.serving.sharded import Sharded
from pipeline.serving.stages import OneProcess
from schemas.config import ServeConfig


class Encoder:
    """In the place of the deployment: it encodes at once."""

    def __init__(self, model):
        self._model = model

    async def warm(self, version):
        pass

    async def encode(self, version, query):
        return Encoded(encode_query(self._model, query), 0.0)

    async def encode_batch(self, version, queries):
        return EncodedBatch([encode_query(self._model, query) for query in queries], 0.0)


class Handle:
    """In the place of Ray's handle of a deployment."""

    def __init__(self, target):
        self._target = target

    def __getattr__(self, name):
        return SimpleNamespace(remote=getattr(self._target, name))

    def broadcast(self, name, *args):
        async def results_async():
            return [await getattr(self._target, name)(*args)]

        return SimpleNamespace(results_async=results_async)


class InProcess(Service):
    """The service, and what it is made of."""

    def __init__(self, index, model, parts, **settings):
        if parts == 1:
            self.deployments = [Reranker(index)]
            stages = OneProcess(Handle(self.deployments[0]))
        else:
            shards = [RerankShard(index, part, parts) for part in range(parts)]
            self.deployments = [StageOne(index), *shards]
            stages = Sharded(Handle(self.deployments[0]), [Handle(shard) for shard in shards])
        super().__init__(ServeConfig(index=index, **settings), Handle(Encoder(model)), stages)

    def opened(self, number):
        """Versions that a deployment has open."""
        return self.deployments[number]._versions.versions()


@asynccontextmanager
async def in_process(index, model, parts=1, **settings):
    """A service that has found the published version."""
    service = InProcess(index, model, parts, **settings)
    try:
        await service.look()
        yield service
    finally:
        # As Ray Serve does with a replica that ends. Stores must not be closed where garbage happens to be collected.
        for deployment in service.deployments:
            deployment.__del__()
