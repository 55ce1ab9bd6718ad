"""One contract, kept by Milvus Lite and by a real Milvus server."""

import uuid

import numpy as np
import pytest

from pipeline.index.collection_schema import FLAT, HNSW
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
        other = VectorStore.open(store._uri or "lite", str(tmp_path))
        assert other.search(collection, rows[7]["v"][None], 1)[0][0].clip_id == "c00007"
        other.close()
        assert store.count(collection) == 30


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
