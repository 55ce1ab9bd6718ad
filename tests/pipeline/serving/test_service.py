"""Batches, likeness, clips, shards and deadlines, with real stores: each answer is that of a search in one process."""

import asyncio
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from pipeline.search import Searcher
from pipeline.serving.errors import RESTARTING, FailureError, failure
from pipeline.serving.shard_assignment import parts_of_files
from pipeline.storage import Store
from schemas.errors import VectorStoreError
from schemas.http import BatchRequest, SearchRequest
from schemas.recall import RECALL_MODES
from tests.pipeline.serving.in_process import in_process

QUERIES = ["a red star", "two blue boxes", "x", "a red star"]


@pytest.fixture(scope="module")
def index(indexes):
    return str(indexes / "yes")


def alone(index, query, k, recall_k, mode=None):
    with closing(Searcher.open(index)) as searcher:
        return searcher.search(query, k, recall_k, mode).hits


def scoreless(hit):
    return hit.model_copy(update={"score": 0.0, "coarse_score": 0.0})


def run(index, model, work, parts=1, **settings):
    async def inside():
        async with in_process(index, model, parts, **settings) as service:
            return await work(service)

    return asyncio.run(asyncio.wait_for(inside(), 120))


def failure_of_call(index, model, work, **settings):
    with pytest.raises(FailureError) as caught:
        run(index, model, work, **settings)
    return caught.value.failure


def test_the_index_has_files_for_several_shards(index):
    assert len(Store(index).names("versions/1/fine")) >= 4


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("mode", RECALL_MODES)
def test_any_number_of_shards_answers_as_one_process_does(index, model, parts, mode):
    async def work(service):
        one = await service.search(SearchRequest(query="a red star", k=12, recall_k=7, recall=mode))
        many = await service.batch(BatchRequest(queries=QUERIES, k=12, recall_k=7, recall=mode))
        return one, many.results

    one, many = run(index, model, work, parts)
    assert one.hits == alone(index, "a red star", 12, 7, mode)
    for result in (one, *many):
        expected = alone(index, result.query, 12, 7, mode)
        # In a batch, Milvus Lite multiplies matrices, and the last bits of S_vid are others.
        assert [scoreless(hit) for hit in result.hits] == [scoreless(hit) for hit in expected]
        scores, others = [[(hit.score, hit.coarse_score) for hit in hits] for hits in (result.hits, expected)]
        np.testing.assert_allclose(scores, others, rtol=0, atol=2e-6)
        assert (result.recall, result.degraded) == (mode, [])


def test_each_part_opens_its_own_files_only(index, model):
    async def work(service):
        opened = []
        for shard in service.deployments[1:]:
            with shard._versions.hold((1, 1)) as part:
                opened.append({number for number, rows in enumerate(part.fine._rows_S) if rows})
        return opened

    opened = run(index, model, work, parts=3)
    assert sorted(number for part in opened for number in part) == list(
        range(len(Store(index).names("versions/1/fine")))
    )


def test_files_are_divided_evenly_and_do_not_move_when_others_come():
    clips = [50, 50, 50, 13, 50, 50, 50, 9, 50]
    parts = parts_of_files(clips, 4)
    assert [parts_of_files(clips[:n], 4) for n in range(10)] == [parts[:n] for n in range(10)]
    load = [sum(c for c, part in zip(clips, parts, strict=True) if part == p) for p in range(4)]
    assert max(load) - min(load) <= max(clips)


@pytest.mark.parametrize("parts", [1, 2])
def test_without_the_second_stage_hits_are_coarse_and_in_coarse_order(index, model, parts):
    async def work(service):
        return await service.search(SearchRequest(query="a red star", k=12, rerank=False, explain=True))

    result = run(index, model, work, parts)
    scores = [hit.coarse_score for hit in result.hits]
    assert (len(result.hits), {hit.stage for hit in result.hits}, result.degraded) == (12, {"coarse"}, [])
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("parts", [1, 2])
def test_fine_hits_are_explained_when_asked_for(index, model, parts):
    async def work(service):
        return await service.search(SearchRequest(query="a red star", k=8, recall_k=5, explain=True))

    hits = run(index, model, work, parts).hits
    assert (
        [hit.explanation is not None for hit in hits]
        == [hit.stage == "fine" for hit in hits]
        == [True] * 5 + [False] * 3
    )
    for hit in hits[:5]:
        told = hit.explanation
        assert sum(told.frame_weights) == pytest.approx(1, abs=1e-4)
        assert told.frame_times_s[told.frame_weights.index(max(told.frame_weights))] == pytest.approx(
            hit.best_s, abs=1e-5
        )
        assert sum(map(sum, told.patch_weights)) == pytest.approx(1, abs=1e-3)
        assert told.heatmap_png.startswith("data:image/png;base64,")


@pytest.mark.parametrize("parts", [1, 2])
def test_where_nothing_meets_the_filter_there_is_nothing_to_explain(index, model, parts):
    never = {"field": "duration_s", "op": ">", "value": 1000}

    async def work(service):
        return await service.search(SearchRequest(query="a red star", filter=never, explain=True))

    assert run(index, model, work, parts).hits == []


def test_a_clip_is_told_with_its_fields_and_others_are_like_it(index, model):
    async def work(service):
        found = await service.search(SearchRequest(query="a", k=3))
        clip = await service.clip(found.hits[0].clip_id)
        return found.hits[0], clip, await service.similar(clip.clip_id, 5), await service.similar(clip.clip_id, 1000)

    hit, clip, few, all_others = run(index, model, work)
    assert (clip.clip_id, clip.video_id, clip.uri, clip.start_s) == (hit.clip_id, hit.video_id, hit.uri, hit.start_s)
    assert clip.fields["duration_s"] == pytest.approx(clip.end_s - clip.start_s)
    assert clip.fields["year"] is None
    assert isinstance(clip.fields["width"], int)
    assert [found.rank for found in few.hits] == [1, 2, 3, 4, 5]
    assert few.hits == all_others.hits[:5]
    assert clip.clip_id not in {found.clip_id for found in all_others.hits}
    assert len(all_others.hits) == 11


@pytest.mark.parametrize("clip_id", ["c0", "x" * 64, "x" * 65, 'c" or clip_id != "', "", "../etc/passwd", "ü"])
def test_a_clip_that_is_not_there_is_404_whatever_its_name(index, model, clip_id):
    assert failure_of_call(index, model, lambda service: service.clip(clip_id)).detail.code == "no_such_clip"
    assert failure_of_call(index, model, lambda service: service.similar(clip_id, 3)).status == 404


def test_adopting_says_what_is_served_or_why_not(index, model):
    assert run(index, model, lambda service: service.adopt(None)).version == 1
    assert run(index, model, lambda service: service.adopt(1)).version == 1
    other = failure_of_call(index, model, lambda service: service.adopt(2))
    assert (other.status, other.detail.code, other.detail.field) == (409, "another_version", "version")


def test_adopting_a_damaged_version_names_the_damage(index, model):
    async def work(service):
        async def look():
            service._follower.outdated = failure(500, "index_corrupt", "versions/2/manifest.json is damaged")

        service._follower.look = look
        return await service.adopt(2)

    assert failure_of_call(index, model, work).detail.code == "index_corrupt"


class Slow:
    """In the place of a shard: it answers late, or as if it had died twice."""

    def __init__(self, shard, error=None):
        self._shard = shard
        self._error = error

    async def score(self, *args):
        if self._error:
            raise self._error
        await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("error", "deadline_ms"), [(None, 8_000), (FailureError(failure(503, RESTARTING, "gone")), None)]
)
def test_a_shard_that_is_away_or_late_costs_its_candidates_their_fine_score_only(index, model, error, deadline_ms):
    async def work(service, away):
        for part in away:
            service._stages._shards[part]._target = Slow(service.deployments[1 + part], error)
        return await service.search(SearchRequest(query="a red star", k=12, recall_k=12, deadline_ms=deadline_ms))

    whole = alone(index, "a red star", 12, 12)
    some = run(index, model, lambda service: work(service, [1]), parts=2)
    assert some.degraded == ["fewer_candidates"]
    kept = [hit for hit in some.hits if hit.stage == "fine"]
    assert 0 < len(kept) < 12
    in_order = [hit.clip_id for hit in whole if hit.clip_id in {one.clip_id for one in kept}]
    assert [hit.clip_id for hit in kept] == in_order
    none = run(index, model, lambda service: work(service, [0, 1]), parts=2)
    assert (none.degraded, {hit.stage for hit in none.hits}, len(none.hits)) == (["coarse_only"], {"coarse"}, 12)


@pytest.mark.parametrize("parts", [1, 2])
def test_an_expensive_second_stage_is_cut_to_the_deadline(index, model, parts):
    async def work(service):
        request = SearchRequest(query="a red star", k=2, recall_k=12)
        await service.search(request)
        costs = service._stages._costs["fp16"] if parts > 1 else None
        if costs is None:
            with service.deployments[0]._versions.hold((1, 1)) as opened:
                costs = opened.costs
        found = []
        # Of 30 seconds, with some to spare.
        for all_ms, frames_ms in ((1_000, 500), (10_000, 5_000), (20_000, 6_000), (20_000, 1_000), (60_000, 50_000)):
            costs._ms = {"all": all_ms, "frames": frames_ms}
            found.append(await service.search(request))
        return found

    found = run(index, model, work, parts)
    assert [result.degraded for result in found] == [
        [], ["fewer_candidates"], ["fewer_candidates", "frames_only"], ["frames_only"], ["coarse_only"],
    ]  # fmt: skip
    stages = [[hit.stage for hit in result.hits] for result in found]
    assert stages == [["fine", "fine"]] * 4 + [["coarse", "coarse"]]
    assert found[0].hits == alone(index, "a red star", 2, 12)
    # The same clips, scored by less.
    assert found[3].hits[0].score != found[0].hits[0].score


def test_a_deadline_that_nothing_meets_is_a_timeout(index, model):
    async def work(service):
        class Stuck:
            async def encode(self, version, query):
                await asyncio.sleep(60)

        service._encoder._target = Stuck()
        await service.search(SearchRequest(query="a", deadline_ms=20))

    with pytest.raises(TimeoutError):
        run(index, model, work)


def test_a_milvus_that_fails_again_and_again_is_left_alone_until_a_search_works(index, model):
    async def work(service):
        broken = service.deployments[0].answer
        asked = []

        async def away(*args):
            asked.append(args)
            raise VectorStoreError("Milvus went away")

        service.deployments[0].answer = away
        failures = []
        for _ in range(6):
            try:
                await service.search(SearchRequest(query="a"))
            except (VectorStoreError, FailureError) as error:
                failures.append(error)
        trouble = await service.trouble()
        service.deployments[0].answer = broken
        await service._watch.look()
        await service.search(SearchRequest(query="a"))
        return len(asked), len(failures), trouble.detail.code, await service.trouble()

    assert run(index, model, work) == (3, 6, "milvus_unavailable", None)


def test_more_than_there_is_room_for_is_refused_at_once(index, model):
    async def work(service):
        async def forever(*args):
            await asyncio.sleep(60)

        service.deployments[0].answer = forever
        waiting = [asyncio.create_task(service.search(SearchRequest(query="a"))) for _ in range(service.limiter.limit)]
        await asyncio.sleep(0.1)
        assert service.limiter.is_full
        for task in waiting:
            task.cancel()
        try:
            await service.search(SearchRequest(query="a"))
        finally:
            await asyncio.gather(*waiting, return_exceptions=True)
            assert service.limiter.under_way == 0

    refused = failure_of_call(index, model, work)
    assert (refused.status, refused.detail.code, refused.retry_after_s) == (429, "overloaded", 1)


@contextmanager
def one_shard_cut(index):
    """The largest file of fine tokens loses its last bytes, in place, and gets them back."""
    path = max(Path(index, "versions/1/fine").iterdir(), key=lambda file: file.stat().st_size)
    whole = path.read_bytes()
    try:
        with path.open("r+b") as file:
            file.truncate(len(whole) - 100)
        yield
    finally:
        with path.open("r+b") as file:
            file.write(whole)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_file_that_is_cut_while_it_is_served_takes_readiness_away_and_gives_it_back(index, model, parts):
    async def work(service):
        before = await service.trouble()
        with one_shard_cut(index):
            await service.look()
            cut = await service.trouble()
        await service.look()
        return before, cut, await service.trouble()

    before, cut, after = run(index, model, work, parts)
    assert before is None
    assert cut.detail.code == "index_corrupt"
    assert "its manifest says" in cut.detail.message
    assert after is None


@pytest.mark.parametrize("parts", [1, 2])
def test_a_cut_file_does_not_keep_a_milvus_away_that_is_back(index, model, parts):
    async def work(service):
        service.breaker.open("Milvus went away")
        with one_shard_cut(index):
            await service._watch.look()
            is_open = service.breaker.is_open
            await service.look()
            return is_open, (await service.trouble()).detail.code

    assert run(index, model, work, parts) == (False, "index_corrupt")
