"""One contract, kept by Milvus Lite and by a real Milvus server."""

import uuid
from dataclasses import replace

import numpy as np
import pytest
from pymilvus import MilvusException

from pipeline.index.index_choice import FLAT, HNSW
from pipeline.index.vector_store import VectorStore
from schemas.errors import UsageError, VectorStoreError
from tests.pipeline.index.processes import OWN, running
from tests.servers.process import LOOPBACK, free_ports
from tests.tables_factory import unit

DIM = 16


def rows_of(vectors, first=0):
    return [
        {
            "clip_id": f"c{first + i:05d}",
            "video_id": f"v{i // 3}",
            "uri": f"s3://bücket/{i}.mp4",
            "start_s": i * 0.5,
            "end_s": i * 0.5 + 0.25,
            "shard": i // 100,
            "row": i % 100,
            "metadata": {"year": 2000 + i, "title": "a «b»"},
            "v": vector,
        }
        for i, vector in enumerate(vectors)
    ]


def frame_rows_of(vectors_BFD):
    return [
        {"frame_id": f"c{b:05d}:{f}", "clip_id": f"c{b:05d}", "v": vector}
        for b, clip in enumerate(vectors_BFD)
        for f, vector in enumerate(clip)
    ]


@pytest.fixture(params=["lite", "server"])
def store(request, tmp_path):
    milvus = "lite" if request.param == "lite" else request.getfixturevalue("milvus_server")
    opened = VectorStore.open(milvus, str(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def collection(store):
    name = f"test_{uuid.uuid4().hex}"
    store.create(name, DIM)
    yield name
    store.drop(name)


class TestContract:
    @pytest.mark.parametrize("index_type", [FLAT, HNSW])
    def test_search_gives_the_largest_inner_products_with_all_that_was_stored(self, store, collection, index_type):
        vectors = unit(np.random.default_rng(1), 300, DIM)
        rows = rows_of(vectors)
        store.insert(collection, rows[:200])
        store.insert(collection, rows[200:])
        store.flush_and_load(collection, index_type)
        queries = unit(np.random.default_rng(2), 3, DIM)
        answers = store.search(collection, queries, 7)
        assert len(answers) == 3
        for query, hits in zip(queries, answers, strict=True):
            products = vectors @ query
            expected = np.argsort(-products)[:7]
            assert [hit.clip_id for hit in hits] == [rows[i]["clip_id"] for i in expected]
            np.testing.assert_allclose([hit.coarse_score for hit in hits], products[expected], atol=1e-5)
            for i, hit in zip(expected, hits, strict=True):
                for name in ("video_id", "uri", "start_s", "end_s", "shard", "row"):
                    assert getattr(hit, name) == rows[i][name]

    def test_fewer_rows_than_the_limit_give_fewer_hits(self, store, collection):
        store.insert(collection, rows_of(unit(np.random.default_rng(1), 4, DIM)))
        store.flush_and_load(collection, FLAT)
        assert [len(hits) for hits in store.search(collection, unit(np.random.default_rng(2), 1, DIM), 1000)] == [4]

    def test_a_deep_search_of_a_graph_gives_as_many_hits_as_asked(self, store, collection):
        store.insert(collection, rows_of(unit(np.random.default_rng(1), 600, DIM)))
        store.flush_and_load(collection, HNSW)
        assert len(store.search(collection, unit(np.random.default_rng(2), 1, DIM), 500)[0]) == 500

    def test_a_retried_insert_doubles_nothing_and_the_count_is_exact_at_once(self, store, collection):
        rows = rows_of(unit(np.random.default_rng(1), 50, DIM))
        store.insert(collection, rows)
        store.insert(collection, rows[:20])
        store.flush_and_load(collection, FLAT)
        assert store.count(collection) == 50
        hits = store.search(collection, rows[3]["v"][None], 50)[0]
        assert sorted(hit.clip_id for hit in hits) == [row["clip_id"] for row in rows]

    def test_create_replaces_a_collection_of_that_name(self, store, collection):
        store.insert(collection, rows_of(unit(np.random.default_rng(1), 5, DIM)))
        store.create(collection, DIM)
        store.insert(collection, rows_of(unit(np.random.default_rng(1), 2, DIM)))
        store.flush_and_load(collection, FLAT)
        assert store.count(collection) == 2

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_a_vector_that_is_not_finite_is_refused_with_its_clip(self, store, collection, bad):
        rows = rows_of(unit(np.random.default_rng(1), 3, DIM))
        rows[1]["v"] = np.full(DIM, bad, np.float32)
        with pytest.raises(VectorStoreError, match="clip c00001 "):
            store.insert(collection, rows)
        store.flush_and_load(collection, FLAT)
        assert store.count(collection) == 0

    def test_a_vector_of_another_size_is_refused_in_one_line(self, store, collection, capfd):
        with pytest.raises(VectorStoreError) as refused:
            store.insert(collection, rows_of(unit(np.random.default_rng(1), 3, DIM + 1)))
        assert "\n" not in str(refused.value)
        assert capfd.readouterr() == ("", "")

    def test_an_alias_moves_from_one_collection_to_another(self, store, collection):
        other, alias = f"{collection}_2", f"{collection}_alias"
        store.create(other, DIM)
        assert store.resolve_alias(alias) is None
        for target in (collection, collection, other):
            store.set_alias(alias, target)
            assert store.resolve_alias(alias) == target
        store.set_alias(alias, collection)
        store.drop(other)
        assert other not in store.collections()
        assert collection in store.collections()

    def test_what_is_missing_is_one_line_without_a_log(self, store, capfd):
        queries = unit(np.random.default_rng(2), 1, DIM)
        for work in (lambda: store.search("nowhere", queries, 3), lambda: store.count("nowhere")):
            with pytest.raises(VectorStoreError, match=r"nowhere|not found") as missing:
                work()
            assert "\n" not in str(missing.value)
        store.drop("nowhere")
        assert capfd.readouterr() == ("", "")

    def test_a_second_client_finds_what_the_first_one_wrote(self, store, collection, tmp_path):
        rows = rows_of(unit(np.random.default_rng(1), 30, DIM))
        store.insert(collection, rows)
        store.flush_and_load(collection, FLAT)
        other = VectorStore.open("lite" if store.place == "Milvus Lite" else store.place, str(tmp_path))
        assert other.search(collection, rows[7]["v"][None], 1)[0][0].clip_id == "c00007"
        other.close()
        assert store.count(collection) == 30


class TestFrames:
    """Clips by their best frame, although one clip may hold many of the best frames."""

    @pytest.fixture
    def frames(self, store):
        name = f"test_{uuid.uuid4().hex}_frames"
        yield name
        store.drop(name)

    def fill(self, store, frames, vectors_BFD, index_type):
        store.create_frames(frames, DIM)
        store.insert(frames, frame_rows_of(vectors_BFD))
        store.flush_and_load(frames, index_type)

    @pytest.mark.parametrize("index_type", [FLAT, HNSW])
    def test_clips_rank_by_their_best_frame_and_come_once(self, store, frames, index_type):
        vectors_BFD = unit(np.random.default_rng(1), 40, 6, DIM)
        text_D = unit(np.random.default_rng(2), DIM)
        # All frames of three clips are the best of all, in a row: the first window holds nothing but them.
        for clip in (5, 20, 31):
            vectors_BFD[clip] = unit(np.random.default_rng(clip), 6, DIM) * 0.01 + text_D
        best_B = (vectors_BFD @ text_D).max(1)
        self.fill(store, frames, vectors_BFD, index_type)
        assert store.count(frames) == 240
        for limit in (1, 4, 25, 40):
            hits = store.search_frames(frames, text_D, limit)
            expected = np.argsort(-best_B)[:limit]
            assert [hit.clip_id for hit in hits] == [f"c{row:05d}" for row in expected]
            np.testing.assert_allclose([hit.frame_score for hit in hits], best_B[expected], atol=1e-5)

    def test_more_clips_than_there_are_gives_all_of_them(self, store, frames):
        self.fill(store, frames, unit(np.random.default_rng(1), 7, 3, DIM), FLAT)
        assert len(store.search_frames(frames, unit(np.random.default_rng(2), DIM), 1000)) == 7

    def test_the_widest_window_is_one_that_milvus_takes(self, store, frames):
        # One clip has all but a few of the frames, so that the search must go to its limit to see another clip.
        vectors_BFD = unit(np.random.default_rng(1), 1, 1, DIM)
        rows = [{"frame_id": f"c:{f}", "clip_id": "c", "v": vectors_BFD[0, 0]} for f in range(17_000)]
        store.create_frames(frames, DIM)
        for start in range(0, len(rows), 4000):
            store.insert(frames, rows[start : start + 4000])
        store.flush_and_load(frames, FLAT)
        assert [hit.clip_id for hit in store.search_frames(frames, vectors_BFD[0, 0], 5000)] == ["c"]

    def test_a_clip_that_is_looked_up_has_the_score_of_a_search(self, store, collection):
        rows = rows_of(unit(np.random.default_rng(1), 50, DIM))
        store.insert(collection, rows)
        store.flush_and_load(collection, FLAT)
        query_D = 3 * unit(np.random.default_rng(2), DIM)
        searched = {hit.clip_id: hit for hit in store.search(collection, query_D[None], 50)[0]}
        asked = ["c00031", "c00004", "c00049"]
        found = store.look_up(collection, asked, query_D)
        assert [hit.clip_id for hit in found] == asked
        for hit in found:
            same = searched[hit.clip_id]
            assert hit.coarse_score == pytest.approx(same.coarse_score, abs=1e-5)
            assert replace(hit, coarse_score=0.0) == replace(same, coarse_score=0.0)
        assert store.look_up(collection, [], query_D) == []

    def test_a_clip_that_is_gone_is_left_out_of_a_look_up(self, store, collection):
        store.insert(collection, rows_of(unit(np.random.default_rng(1), 3, DIM)))
        store.flush_and_load(collection, FLAT)
        query_D = unit(np.random.default_rng(2), DIM)
        assert [hit.clip_id for hit in store.look_up(collection, ["c00009", "c00001"], query_D)] == ["c00001"]
        assert store.look_up(collection, ["c00009"], query_D) == []


def test_a_lite_collection_answers_after_its_directory_was_closed_and_opened_again(tmp_path):
    rows = rows_of(unit(np.random.default_rng(1), 30, DIM))
    first = VectorStore.open("lite", str(tmp_path))
    first.create("a", DIM)
    first.insert("a", rows)
    first.flush_and_load("a", FLAT)
    first.close()
    second = VectorStore.open("lite", str(tmp_path))
    assert second.search("a", rows[7]["v"][None], 1)[0][0].clip_id == "c00007"
    assert second.count("a") == 30
    second.close()


@pytest.mark.parametrize("uri", ["", "milvus", "localhost:19530", "ftp://a:1", "http://"])
def test_what_is_no_address_is_wrong_usage(uri, tmp_path):
    with pytest.raises(UsageError, match="is no address"):
        VectorStore.open(uri, str(tmp_path))


def test_a_password_in_the_address_is_refused_and_not_repeated(tmp_path):
    with pytest.raises(UsageError, match="REELSIFT_MILVUS_TOKEN") as refused:
        VectorStore.open("http://root:secret@127.0.0.1:1", str(tmp_path))
    assert "secret" not in str(refused.value)


def test_milvus_lite_in_an_object_store_is_wrong_usage():
    with pytest.raises(UsageError, match="--milvus http://host:port, or a local --index"):
        VectorStore.open("lite", "s3://bucket/index")


def test_a_server_that_is_away_is_one_line_with_its_address(tmp_path, capfd):
    uri = f"http://{LOOPBACK}:{free_ports(1)[0]}"
    with pytest.raises(VectorStoreError, match=f"^Milvus at {uri} does not answer[^\n]*$"):
        VectorStore.open(uri, str(tmp_path))
    assert capfd.readouterr() == ("", "")


def test_a_server_that_goes_away_is_one_line_with_its_address_and_what_it_acknowledged_is_kept(tmp_path, capfd):
    rows = rows_of(unit(np.random.default_rng(1), 5, DIM))
    with running(OWN, tmp_path) as server:
        uri = server.first_line
        store = VectorStore.open(uri, str(tmp_path))
        store.create("a", DIM)
        store.insert("a", rows)
        store.flush_and_load("a", FLAT)
    with pytest.raises(VectorStoreError, match=f"^Milvus at {uri} does not answer[^\n]*$"):
        store.search("a", rows[0]["v"][None], 1)
    back = VectorStore.open("lite", str(tmp_path))
    assert back.count("a") == 5
    back.close()
    store.close()
    assert capfd.readouterr() == ("", "")


class FlakyClient:
    """Takes rows, but says nothing at the first times."""

    def __init__(self, faults):
        self.faults = faults
        self.calls = []

    def insert(self, collection, rows, timeout):
        self._take("insert")

    def upsert(self, collection, rows, timeout):
        self._take("upsert")

    def _take(self, what):
        self.calls.append(what)
        if len(self.calls) <= len(self.faults):
            raise MilvusException(message=self.faults[len(self.calls) - 1])


class OneClient:
    """Stands for a connection."""

    place = "there"

    def __init__(self, client):
        self.client = client

    def ask(self, work):
        try:
            return work(self.client)
        except MilvusException as error:
            raise VectorStoreError("there") from error


class TestBusyServer:
    @pytest.fixture
    def waits(self, monkeypatch):
        found = []
        monkeypatch.setattr("pipeline.index.collection_changes.time.sleep", found.append)
        return found

    def test_a_busy_server_is_asked_again_after_longer_and_longer_and_what_it_may_have_taken_is_replaced(self, waits):
        client = FlakyClient(["rate limit exceeded", "memory quota exceeded", "deadline"])
        VectorStore(OneClient(client)).insert("c", rows_of(unit(np.random.default_rng(1), 2, DIM)), fresh=True)
        assert client.calls == ["insert", "upsert", "upsert", "upsert"]
        assert len(waits) == 3
        assert waits == sorted(waits)

    def test_a_refusal_is_not_tried_again_and_a_server_that_stays_busy_is_one_error(self, waits):
        rows = rows_of(unit(np.random.default_rng(1), 2, DIM))
        refused, busy = FlakyClient(["field v has another dim"] * 9), FlakyClient(["rate limit exceeded"] * 9)
        for client, calls in ((refused, 1), (busy, 5)):
            with pytest.raises(VectorStoreError):
                VectorStore(OneClient(client)).insert("c", rows)
            assert client.calls == ["upsert"] * calls
