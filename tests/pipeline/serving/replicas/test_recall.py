"""The service and the reranker, without Ray between them, answer as a search in one process does."""

import asyncio
import shutil
from contextlib import closing

import pytest

from pipeline.index.delete import delete_videos
from pipeline.search import Searcher
from pipeline.serving.errors import FailureError
from schemas.http import BatchRequest, SearchRequest
from schemas.index_config import DeleteConfig
from schemas.recall import RECALL_MODES
from tests.pipeline.serving.in_process import in_process


def answer(index, model, request):
    """What the service answers to one request."""

    async def ask():
        async with in_process(index, model) as service:
            return await service.search(request)

    return asyncio.run(ask())


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


@pytest.mark.parametrize("parts", [1, 2])
def test_replicas_answer_without_deleted_clips_before_and_after_they_follow(indexes, model, tmp_path, parts):
    for part in ("t", "yes"):
        shutil.copytree(indexes / part, tmp_path / part)
    index, request = str(tmp_path / "yes"), SearchRequest(query="a red star", k=9, recall_k=5)

    async def run():
        async with in_process(index, model, parts) as service:
            before = await service.search(request)
            gone = before.hits[0].video_id
            config = DeleteConfig(tables=str(tmp_path / "t"), index=index, video_id=(gone,))
            await asyncio.to_thread(delete_videos, config)
            answers = [await service.search(request)]
            batch = BatchRequest(queries=[request.query, "x"], k=9, recall_k=5)
            answers.append((await service.batch(batch)).results[0])
            await service.look()
            answers.append(await service.search(request))
            assert service.opened(0) == [(1, 1), (1, 2)]
            return gone, answers

    gone, answers = asyncio.run(run())
    for found in answers:
        assert len(found.hits) == 9
        assert gone not in {hit.video_id for hit in found.hits}
    assert len({tuple(hit.clip_id for hit in found.hits) for found in answers}) == 1
