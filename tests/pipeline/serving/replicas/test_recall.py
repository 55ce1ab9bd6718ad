"""The service and the reranker, without Ray between them, answer as a search in one process does."""

import asyncio
import shutil
from contextlib import closing

import pytest

from pipeline.index.delete import delete_videos
from pipeline.index.versions import live_manifest
from pipeline.query_encoding import encode_query
from pipeline.search import Searcher
from pipeline.serving.errors import FailureError
from pipeline.serving.messages import Ask, key_of
from pipeline.serving.replicas import recaller, reranker
from pipeline.serving.telemetry.request_notes import begin_notes
from pipeline.storage import Store
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


def together(index, model, parts, requests):
    """What the service answers to requests that come at one time, and how many of them a replica took together."""
    sizes = []

    async def ask_one(service, request):
        notes = begin_notes()
        found = await service.search(request)
        sizes.append(notes.together["recall"])
        return found

    async def ask():
        async with in_process(index, model, parts) as service:
            return await asyncio.gather(*(ask_one(service, request) for request in requests))

    return asyncio.run(ask()), sizes


@pytest.mark.parametrize("parts", [1, 2])
def test_searches_that_come_at_one_time_are_taken_together_and_answered_as_alone(indexes, model, parts, monkeypatch):
    # Milvus Lite stands for a server here; see the next test.
    for module in (reranker, recaller):
        monkeypatch.setattr(module, "LITE", "no such place")
    index = str(indexes / "yes")
    requests = [SearchRequest(query=f"a red star {number}", k=5, recall_k=12) for number in range(12)]
    # One of another kind, one with a filter, and one that is explained.
    requests += [
        SearchRequest(query="a red star", k=3, recall_k=4, recall="coarse"),
        SearchRequest(query="a red star", k=5, recall_k=12, filter={"field": "year", "op": ">=", "value": 1}),
        SearchRequest(query="a red star", k=5, recall_k=12, explain=True),
    ]
    answers, sizes = together(index, model, parts, requests)
    assert max(sizes) > 1
    for request, found in zip(requests, answers, strict=True):
        alone = answer(index, model, request)
        assert [hit.clip_id for hit in found.hits] == [hit.clip_id for hit in alone.hits]
        assert [hit.score for hit in found.hits] == pytest.approx([hit.score for hit in alone.hits], abs=1e-5)
        assert [hit.explanation is None for hit in found.hits] == [not request.explain] * len(found.hits)
        assert set(found.timings_ms) >= {"encode", "recall", "read", "score", "total"}


def test_milvus_lite_is_asked_by_each_search_alone(indexes, model):
    requests = [SearchRequest(query=f"a red star {number}", k=5, recall_k=12) for number in range(9)]
    answers, sizes = together(str(indexes / "yes"), model, 1, requests)
    assert set(sizes) == {1}
    assert answers[3].hits == answer(str(indexes / "yes"), model, requests[3]).hits


def test_a_search_without_time_does_not_cost_its_neighbours_their_second_stage(indexes, model, monkeypatch):
    monkeypatch.setattr(reranker, "LITE", "no such place")
    index = str(indexes / "yes")
    manifest = live_manifest(Store(index))
    queries = [encode_query(model, f"a red star {number}") for number in range(4)]
    hurried, calm = Ask(5, 12, "both", budget_ms=0.0), Ask(5, 12, "both", budget_ms=60_000.0)
    made = reranker.Reranker(index)

    async def ask(asks):
        answers = (made.answer(key_of(manifest), query, one) for query, one in zip(queries, asks, strict=True))
        return await asyncio.gather(*answers)

    try:
        asyncio.run(ask([calm] * 4))  # what a candidate costs is known from here on
        answers = asyncio.run(ask([calm, calm, hurried, calm]))
    finally:
        made.__del__()
    assert max(one.batch for one in answers) > 1
    assert [one.degraded for one in answers] == [[], [], ["coarse_only"], []]


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
