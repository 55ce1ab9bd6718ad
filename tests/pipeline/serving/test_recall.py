"""The ingress and the reranker, without Ray between them, answer as a search in one process does."""

import asyncio
import shutil
from contextlib import closing
from types import SimpleNamespace

import pytest
import torch

from models.registry import load_model
from pipeline.index.build import build_index
from pipeline.index.delete import delete_videos
from pipeline.index.versions import publish
from pipeline.query_encoding import encode_query
from pipeline.search import Searcher
from pipeline.serving.errors import FailureError
from pipeline.serving.ingress import Ingress
from pipeline.serving.messages import Encoded
from pipeline.serving.reranker import Reranker
from pipeline.storage import Store
from schemas.config import DeleteConfig, IndexConfig, ServeConfig
from schemas.http import SearchRequest
from schemas.recall import RECALL_MODES
from tests.tables_factory import make_tables


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return load_model("random-tiny")


@pytest.fixture(scope="module")
def indexes(tmp_path_factory, model):
    """Two published indexes of the same tables: with frame vectors, and without."""
    root = tmp_path_factory.mktemp("indexes")
    make_tables(Store(str(root / "t")), shape=model.token_shape, model_id=model.model_id, model=model.name)
    for setting in ("yes", "no"):
        build_index(IndexConfig(tables=str(root / "t"), index=str(root / setting), frames=setting))
        publish(Store(str(root / setting)))
    return root


class Encoder:
    """In the place of the deployment: it encodes at once."""

    def __init__(self, model):
        self._model = model

    async def warm(self, version):
        pass

    async def encode(self, version, query):
        return Encoded(encode_query(self._model, query), 0.0)


class Handle:
    """In the place of Ray's handle of a deployment."""

    def __init__(self, target):
        self._target = target

    def __getattr__(self, name):
        return SimpleNamespace(remote=getattr(self._target, name))


def answer(index, model, request):
    """What the ingress answers to one request."""

    async def ask(reranker):
        ingress = Ingress(ServeConfig(index=index), Handle(Encoder(model)), Handle(reranker))
        await ingress._follower.look()
        return await ingress.search(request)

    reranker = Reranker(index)
    try:
        return asyncio.run(ask(reranker))
    finally:
        # As Ray Serve does with a replica that ends. Stores must not be closed where garbage happens to be collected.
        reranker.__del__()


@pytest.mark.parametrize("mode", [None, *RECALL_MODES])
@pytest.mark.parametrize(("k", "recall_k"), [(5, 3), (12, 12)])
def test_each_way_of_recall_answers_as_one_process_does(indexes, model, mode, k, recall_k):
    index = str(indexes / "yes")
    served = answer(index, model, SearchRequest(query="a red star", k=k, recall_k=recall_k, recall=mode))
    with closing(Searcher.open(index)) as searcher:
        local = searcher.search("a red star", k, recall_k, mode)
    assert served.recall == local.recall == (mode or "both")
    assert (served.version, served.hits) == (local.version, local.hits)
    assert set(served.timings_ms) == set(local.timings_ms)


def test_a_version_without_frame_vectors_recalls_by_clips_alone_and_says_so(indexes, model):
    index = str(indexes / "no")
    assert answer(index, model, SearchRequest(query="a red star")).recall == "coarse"
    for mode in ("frames", "both"):
        with pytest.raises(FailureError, match="reelsift index build --frames yes") as refused:
            answer(index, model, SearchRequest(query="a red star", recall=mode))
        found = refused.value.failure
        assert (found.status, found.detail.code, found.detail.field) == (422, "invalid_request", "recall")


def test_a_replica_answers_without_deleted_clips_before_and_after_it_follows(indexes, model, tmp_path):
    for part in ("t", "yes"):
        shutil.copytree(indexes / part, tmp_path / part)
    index, request = str(tmp_path / "yes"), SearchRequest(query="a red star", k=9, recall_k=5)

    async def run():
        reranker = Reranker(index)
        ingress = Ingress(ServeConfig(index=index), Handle(Encoder(model)), Handle(reranker))
        await ingress._follower.look()
        before = await ingress.search(request)
        gone = before.hits[0].video_id
        config = DeleteConfig(tables=str(tmp_path / "t"), index=index, video_id=(gone,))
        await asyncio.to_thread(delete_videos, config)
        answers = [await ingress.search(request)]
        await ingress._follower.look()
        answers.append(await ingress.search(request))
        assert reranker._versions.versions() == [(1, 1), (1, 2)]
        reranker._versions.close()
        return gone, answers

    gone, answers = asyncio.run(run())
    for found in answers:
        assert len(found.hits) == 9
        assert gone not in {hit.video_id for hit in found.hits}
    assert [hit.clip_id for hit in answers[0].hits] == [hit.clip_id for hit in answers[1].hits]
