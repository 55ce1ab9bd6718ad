"""Builds whose rows a Milvus server imports by itself: the files, what becomes of them, and what is said."""

import json
import uuid
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.index.build import build_index
from pipeline.index.bulk_import import BulkImport
from pipeline.index.server_imports import ImportState
from pipeline.index.switch import publish
from pipeline.index.unfinished import mark
from pipeline.storage import Store
from pipeline.verify.run import verify
from schemas.config import VerifyConfig
from schemas.errors import StorageError, UsageError, VectorStoreError
from schemas.index_config import IndexConfig
from tests.pipeline.index.built import folders

DIM = 4
SCHEMA = pa.schema([("clip_id", pa.string()), ("metadata", pa.string()), ("v", pa.list_(pa.float32()))])
DONE = ImportState("Completed", 0, "100", "")


class Server:
    """Imports in its head: keeps what it reads, and tells the given states one after the other."""

    def __init__(self, *states):
        self.states = states or (DONE,)
        self.read = {}
        self.asked = 0

    def schema(self, collection):
        return SCHEMA

    def begin(self, collection, path):
        self.read[path] = (collection, pq.read_table(path))
        return len(self.read)

    def state(self, task):
        self.asked += 1
        return self.states[min(self.asked, len(self.states)) - 1]


def rows_of(first, count):
    return [
        {"clip_id": f"c{n}", "metadata": {"n": n, "ü": [1]}, "v": np.full(DIM, n, np.float32)}
        for n in range(first, first + count)
    ]


def silent(doing):
    pass


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    monkeypatch.setattr("pipeline.index.bulk_import._POLL_S", 0)


def test_files_hold_every_row_of_their_collection_once_and_go_when_they_are_in(tmp_path):
    server, folder = Server(ImportState("Started", 0, "10", ""), DONE), tmp_path / "parts"
    # Three rows of four float32 numbers are a part.
    with closing(BulkImport(server, str(folder), 60, part_bytes=3 * DIM * 4)) as imports:
        for start in range(0, 8, 2):
            imports.write("clips", rows_of(start, 2))
            imports.write("frames", rows_of(100 + start, 1))
        imports.finish(silent)
        assert list(folder.iterdir()) == []
    assert not folder.exists()
    of_clips = [table for collection, table in server.read.values() if collection == "clips"]
    assert [len(table) for table in of_clips] == [4, 4]
    found = [row for table in of_clips for row in table.to_pylist()]
    assert [(row["clip_id"], json.loads(row["metadata"]), row["v"]) for row in found] == [
        (row["clip_id"], row["metadata"], row["v"].tolist()) for row in rows_of(0, 8)
    ]
    assert sum(len(table) for collection, table in server.read.values() if collection == "frames") == 4


def test_few_files_wait_for_the_server(tmp_path):
    server = Server(*[ImportState("Started", 0, str(percent), "") for percent in range(200)], DONE)
    with closing(BulkImport(server, str(tmp_path / "parts"), 60, part_bytes=1)) as imports:
        for n in range(7):
            imports.write("clips", rows_of(n, 1))
            assert len(list((tmp_path / "parts").iterdir())) <= 5
        imports.finish(silent)
    assert len(server.read) == 7


@pytest.mark.parametrize("state", ["Failed", "Failed and cleaned"])
def test_a_failed_import_ends_the_build_in_one_line_and_its_files_go(tmp_path, state):
    server = Server(ImportState(state, 0, "0", "stat /x: no such file"))
    with closing(BulkImport(server, str(tmp_path / "parts"), 60)) as imports:
        imports.write("clips", rows_of(0, 2))
        with pytest.raises(VectorStoreError, match=r"^Milvus cannot import /[^\n]*no such file[^\n]*inserted$"):
            imports.finish(silent)
    assert not (tmp_path / "parts").exists()


def test_an_import_that_does_not_go_on_ends(tmp_path):
    server = Server(ImportState("Started", 1, "50", ""))
    with closing(BulkImport(server, str(tmp_path / "parts"), 0)) as imports:
        imports.write("clips", rows_of(0, 2))
        with pytest.raises(VectorStoreError, match=r"does not go on importing [^\n]*: Started, 1 of 2 rows"):
            imports.finish(silent)


def test_a_vector_that_is_not_finite_reaches_no_file(tmp_path):
    rows = rows_of(0, 2)
    rows[1]["v"][2] = np.nan
    with (
        closing(BulkImport(Server(), str(tmp_path / "parts"), 60)) as imports,
        pytest.raises(VectorStoreError, match="clip c1 has a vector that is not finite"),
    ):
        imports.write("clips", rows)


def test_a_server_is_told_the_key_in_its_bucket(s3_env):
    place = Store(f"s3://{s3_env.bucket}/{uuid.uuid4().hex}/parts")
    server = Server()
    server.begin = lambda collection, path: server.read.update({path: place.names("")}) or 1
    with closing(BulkImport(server, place.root, 60)) as imports:
        imports.write("clips", rows_of(0, 2))
        imports.finish(silent)
    ((path, objects),) = server.read.items()
    assert f"s3://{s3_env.bucket}/{path}" == place.path(objects[0])
    assert place.names("") == []


def test_milvus_lite_and_other_stores_are_refused_before_anything_is_done(build, index):
    with pytest.raises(UsageError, match="Milvus Lite imports nothing"):
        build(bulk_import="/exchange")
    with pytest.raises(UsageError, match="gs://bucket/x: give a local path or s3://"):
        build(bulk_import="gs://bucket/x", milvus="http://127.0.0.1:1")
    assert not index.exists("index.json")


def test_files_of_a_killed_build_are_removed_by_the_next_one(build, index, tables, tmp_path):
    parts = tmp_path / "exchange" / "some_build"
    parts.mkdir(parents=True)
    (parts / "some_build-00001.parquet").write_bytes(b"part")
    mark(index, 1, "lite", "some_build", str(parts))
    assert build(frames="no").version == 1
    assert not parts.exists()


def test_an_imported_version_is_whole_and_leaves_no_file(milvus_server, tables, index, tmp_path, monkeypatch):
    places = {"tables": str(tmp_path / "tables"), "index": index.root}
    exchange = tmp_path / "exchange"
    said = []
    config = IndexConfig.of(places | {"milvus": milvus_server, "frames": "no", "bulk_import": str(exchange)})
    summary = build_index(config, lambda done, total, doing: said.append(doing))
    assert "Milvus imports: 0 of 1 files are in" in said
    assert (summary.clips, summary.recall.own) == (12, 1.0)
    assert list(exchange.iterdir()) == []
    assert publish(index).live
    assert verify(VerifyConfig(**places)).problems == []
    # A place that the server does not read: as seen from there, the file is missing.
    elsewhere = IndexConfig.of(config.model_dump() | {"bulk_import": str(exchange / "elsewhere")})
    monkeypatch.setattr(BulkImport, "_seen", lambda self, name: f"/nowhere/{name}")
    with pytest.raises(VectorStoreError, match="no such file"):
        build_index(elsewhere)
    assert folders(index) == ["1"]
    assert list(exchange.rglob("*.parquet")) == []


def test_a_place_that_cannot_be_listed_is_told_before_anything_is_written(monkeypatch, tmp_path):
    def refuse(store, folder, suffix="", *, hidden=False):
        raise StorageError(f"cannot list {store.path(folder)}: access denied")

    monkeypatch.setattr(Store, "names", refuse)
    settings = {"tables": str(tmp_path / "t"), "index": str(tmp_path / "i"), "milvus": "http://127.0.0.1:1"}
    with pytest.raises(StorageError, match=r"^cannot list s3://nope/x"):
        build_index(IndexConfig.of(settings | {"bulk_import": "s3://nope/x"}))
    assert not list(tmp_path.iterdir())
