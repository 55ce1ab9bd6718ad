"""The published version against its tables: the same clips, whole shards, the right addresses in Milvus."""

import json
from pathlib import Path

import pytest

from models.registry import load_model
from pipeline.index.build import build_index
from pipeline.index.switch import publish
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import read_manifest
from pipeline.storage import Store
from pipeline.verify.run import verify
from schemas.config import VerifyConfig
from schemas.errors import IndexMissingError
from schemas.index_config import IndexConfig
from tests.tables_factory import make_tables


@pytest.fixture
def tables(tmp_path):
    model = load_model("random-tiny")
    store = Store(str(tmp_path / "tables"))
    make_tables(store, shape=model.token_shape, model_id=model.model_id, model=model.name)
    return store


@pytest.fixture
def index(tmp_path, tables):
    """A published version in two shards."""
    index = Store(str(tmp_path / "index"))
    build_index(IndexConfig(tables=tables.root, index=index.root, shard_bytes=1 << 20, frames="yes"))
    publish(index)
    return index


def check(tables, index):
    return verify(VerifyConfig(tables=tables.root, index=index.root))


def only_problem(tables, index):
    report = check(tables, index)
    assert len(report.problems) == 1, report.problems
    return report.problems[0]


def test_a_whole_index_has_no_problems(tables, index):
    report = check(tables, index)
    assert (report.ok, report.problems, report.index_version) == (True, [], 1)


def test_clips_that_came_after_the_build_are_named(tables, index):
    model = load_model("random-tiny")
    more = make_tables(tables, num_videos=1, shape=model.token_shape, model_id=model.model_id, model=model.name, seed=1)
    found = only_problem(tables, index)
    assert found.startswith("index version 1 lacks 3 clips of the tables (")
    assert min(more.clip_ids) in found


def test_clips_that_the_tables_lost_are_named(tables, index):
    for folder in ("clips", "videos"):
        tables.delete(f"{folder}/{tables.names(folder)[0]}")
    assert any(
        problem.startswith("index version 1 has 6 clips that the tables do not have")
        for problem in check(tables, index).problems
    )


def test_a_flipped_byte_a_cut_and_a_missing_shard_are_named(tables, index):
    first = Path(index.path("versions/1/fine/shard-00000.bin"))
    whole = first.read_bytes()
    for data in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-64]):
        first.write_bytes(data)
        assert only_problem(tables, index).startswith("versions/1/fine/shard-00000.bin: has sha256 ")
    first.unlink()
    assert only_problem(tables, index).startswith("versions/1/fine/shard-00000.bin: is missing")


def test_shards_in_an_object_store_are_read_there_and_not_in_the_cache_of_searches(tables, index, s3_server, s3_env):
    from pipeline.index.versions import version_store
    from pipeline.verify.index import _check_shards
    from pipeline.verify.report import Findings

    manifest = read_manifest(index, 1)
    remote = version_store(Store(f"s3://{s3_server.bucket}/verified-index"), 1)
    for shard in manifest.shards:
        remote.upload(Path(index.path(f"versions/1/fine/{shard.name}")), f"fine/{shard.name}")
    found = Findings()
    assert len(_check_shards(remote, manifest, found) or ()) == 12
    assert found.problems == []
    name = f"fine/{manifest.shards[-1].name}"
    remote.write(name, remote.read(name)[:-1] + b"?")
    assert _check_shards(remote, manifest, found) is None
    remote.delete(name)
    assert _check_shards(remote, manifest, found) is None
    assert [problem.split(": ")[1][:10] for problem in found.problems] == ["has sha256", "is missing"]


def test_a_lost_frame_vector_is_seen(tables, index):
    frames = read_manifest(index, 1).frames
    vectors = VectorStore.open("lite", index.root)
    try:
        row = vectors._milvus.ask_loaded(
            frames.collection, lambda client: client.query(frames.collection, filter="", limit=1)
        )[0]
        vectors._milvus.ask(lambda client: client.delete(frames.collection, ids=[row["frame_id"]]))
    finally:
        vectors.close()
    assert f"{frames.collection}: {frames.rows - 1} rows, the manifest says {frames.rows}" in only_problem(
        tables, index
    )


def test_a_row_that_milvus_lost_or_that_leads_elsewhere_is_named(tables, index):
    manifest = read_manifest(index, 1)
    vectors = VectorStore.open(manifest.milvus, index.root)
    try:
        clips = rows_of(vectors, manifest.collection)
        vectors.insert(manifest.collection, [clips[0] | {"row": clips[0]["row"] + 1}])
        vectors._milvus.ask(lambda client: client.delete(manifest.collection, ids=[clips[1]["clip_id"]]))
    finally:
        vectors.close()
    problems = check(tables, index).problems
    assert any("11 rows, the manifest says 12" in problem for problem in problems), problems
    assert any(f"clip {clips[0]['clip_id']} leads to" in problem for problem in problems), problems
    assert any(f"clip {clips[1]['clip_id']} is missing" in problem for problem in problems), problems


def rows_of(vectors, collection):
    return vectors._milvus.ask_loaded(
        collection, lambda client: client.query(collection, filter="", output_fields=["*"], limit=100)
    )


def test_a_lost_collection_is_named(tables, index):
    manifest = read_manifest(index, 1)
    vectors = VectorStore.open(manifest.milvus, index.root)
    try:
        vectors.drop(manifest.collection)
    finally:
        vectors.close()
    assert f"{manifest.collection}: the collection is missing" in only_problem(tables, index)


def test_an_index_of_another_model_is_named(tables, index):
    info = json.loads(tables.read("extract.json"))
    name = "versions/1/manifest.json"
    index.write(name, index.read(name).replace(info["model_id"].encode(), b"another-model"))
    assert only_problem(tables, index).startswith("index version 1: model_id is another-model, that of the tables ")


def test_a_damaged_pointer_is_a_problem_and_none_published_is_an_error(tables, index, tmp_path):
    index.write("live.json", b"{")
    assert "live.json is damaged" in only_problem(tables, index)
    with pytest.raises(IndexMissingError, match="holds no index"):
        check(tables, Store(str(tmp_path / "none")))
