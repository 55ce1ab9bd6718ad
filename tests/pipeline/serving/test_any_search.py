"""Searches of every kind at the same time, with a real index: each is answered as if alone, or is too late."""

import asyncio
import random
from contextlib import closing

import pytest

from pipeline.search import Searcher
from pipeline.serving.errors import FailureError
from schemas.filters import parse_filter
from schemas.http import SearchRequest
from schemas.recall import RECALL_MODES
from tests.pipeline.serving.in_process import in_process

SEARCHES = 120
TEXTS = ["a red star", "two blue boxes", "x", "日本", "!" * 50]
SIZES = [1, 5, 12, 1000]
SHORT_MS = (1, 30)
DEADLINES_MS = [None, None, *SHORT_MS, 60_000]
FILTERS = [
    None,
    *map(
        parse_filter,
        (
            '{"field": "duration_s", "op": ">", "value": 1000}',
            '{"field": "duration_s", "op": ">", "value": 0}',
            '{"not": {"field": "year", "op": "exists"}}',
            '{"field": "uri", "op": "in", "value": ["nowhere.mp4"]}',
        ),
    ),
]


def drawn(seed):
    rng = random.Random(seed)
    return [
        SearchRequest(
            query=rng.choice(TEXTS),
            k=rng.choice(SIZES),
            recall_k=rng.choice(SIZES),
            recall=rng.choice(RECALL_MODES),
            rerank=rng.random() > 0.2,
            explain=rng.random() < 0.5,
            deadline_ms=rng.choice(DEADLINES_MS),
            filter=rng.choice(FILTERS),
        )
        for _ in range(SEARCHES)
    ]


@pytest.fixture(scope="module")
def index(indexes):
    return str(indexes / "yes")


@pytest.mark.parametrize("parts", [1, 2])
def test_each_is_answered_as_if_it_were_alone(index, model, parts):
    asked = drawn(parts)

    async def all_at_once():
        async with in_process(index, model, parts, max_wait_ms=120_000) as service:
            return await asyncio.gather(*map(service.search, asked), return_exceptions=True)

    answers = asyncio.run(asyncio.wait_for(all_at_once(), 240))
    with closing(Searcher.open(index)) as searcher:
        for request, answer in zip(asked, answers, strict=True):
            if request.deadline_ms in SHORT_MS and isinstance(answer, TimeoutError | FailureError):
                continue
            assert request.deadline_ms in SHORT_MS or not answer.degraded
            for hit in answer.hits:
                assert (hit.explanation is not None) == (request.explain and hit.stage == "fine")
            if request.rerank and not answer.degraded:
                alone = searcher.search(request.query, request.k, request.recall_k, request.recall, request.filter)
                assert list(map(facts, answer.hits)) == list(map(facts, alone.hits))


def facts(hit):
    return hit.clip_id, hit.stage, hit.best_s
