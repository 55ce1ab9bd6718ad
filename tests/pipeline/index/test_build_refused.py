"""What makes no version: tables that are not whole, a Milvus that loses rows or finds too little, wrong usage."""

import io
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.index.build import _way_to_clips
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import version_numbers
from pipeline.storage import Store
from pipeline.tables import write_parquet
from schemas.errors import IndexCorruptError, ModelMismatchError, StorageError, UsageError, VectorStoreError
from schemas.tables import CLIPS_DIR, VIDEOS_DIR
from tests.pipeline.index.built import collections, folders
from tests.servers.process import LOOPBACK, free_ports
from tests.tables_factory import make_tables


def test_tables_without_clips_say_what_to_run(build, tmp_path, model, index):
    empty = Store(str(tmp_path / "empty"))
    make_tables(empty, clips_per_video=0, shape=model.token_shape, model_id=model.model_id, model=model.name)
    with pytest.raises(StorageError, match="holds no committed clips: run 'reelsift extract"):
        build(tables=empty.root)
    with pytest.raises(StorageError, match="holds no tables: run 'reelsift extract"):
        build(tables=str(tmp_path / "nowhere"))
    assert not os.path.exists(index.root)


def test_clips_that_were_never_committed_are_left_out(build, tables, tmp_path):
    store = Store(str(tmp_path / "tables"))
    store.delete(f"{VIDEOS_DIR}/{store.names(VIDEOS_DIR)[0]}")
    assert build().clips == 6


def test_a_model_that_is_another_one_now_is_refused_with_both_ids(build, tmp_path, model, index):
    store = Store(str(tmp_path / "other"))
    make_tables(store, shape=model.token_shape, model_id="random-tiny-000000000000", model="random-tiny")
    with pytest.raises(ModelMismatchError, match=f"random-tiny-000000000000, .*{model.model_id}"):
        build(tables=store.root)
    assert not os.path.exists(index.root)


def change_task(tmp_path, change):
    """Rewrite the clips of the first task."""
    store = Store(str(tmp_path / "tables"))
    name = f"{CLIPS_DIR}/{store.names(CLIPS_DIR)[0]}"
    table = pq.read_table(io.BytesIO(store.read(name)))
    schema = table.schema
    rows = table.to_pylist()
    change(rows)
    store.write(name, write_parquet(pa.Table.from_pylist(rows, schema)))


def drop_one(rows):
    del rows[2]


def double_one(rows):
    rows[2] = rows[1]


def not_finite(rows):
    rows[1]["coarse"] = [float("nan")] * len(rows[1]["coarse"])


def bad_frame(rows):
    frames = np.frombuffer(rows[1]["frames"], "<f2").copy()
    frames[0] = np.nan
    rows[1]["frames"] = frames.tobytes()


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (bad_frame, VectorStoreError, "not finite"),
        (drop_one, IndexCorruptError, "has 2 clips in the tables, its commit says 3"),
        (double_one, IndexCorruptError, "are in the tables twice"),
        (not_finite, VectorStoreError, "not finite"),
    ],
)
def test_tables_that_are_not_whole_make_no_version(build, tables, tmp_path, index, change, error, says):
    change_task(tmp_path, change)
    with pytest.raises(error, match=says):
        build()
    assert folders(index) == []
    assert collections(index) == []


def test_rows_that_milvus_lost_make_no_version(build, tables, index, monkeypatch):
    taken = VectorStore.insert
    # Of a message with a single row, none.
    monkeypatch.setattr(
        VectorStore, "insert", lambda self, name, rows, **how: taken(self, name, rows[1:] or rows, **how)
    )
    with pytest.raises(IndexCorruptError, match=r"the tables hold 12 clips, Milvus (?!12)\d+: nothing was kept"):
        build()
    assert folders(index) == []
    assert collections(index) == []


def test_frames_that_milvus_lost_make_no_version(build, index, monkeypatch):
    taken = VectorStore.insert

    def lossy(self, name, rows, **how):
        taken(self, name, rows[1:] if name.endswith("_frames") else rows, **how)

    monkeypatch.setattr(VectorStore, "insert", lossy)
    with pytest.raises(IndexCorruptError, match=r"the tables hold \d+ frames, Milvus \d+: nothing was kept"):
        build()
    assert folders(index) == []
    assert collections(index) == []


def test_tables_of_another_shape_than_they_say_make_no_version(build, tables, tmp_path, index):
    store = Store(str(tmp_path / "tables"))
    shape = tables.info.token_shape.model_copy(update={"patches": 5})
    store.write("extract.json", tables.info.model_copy(update={"token_shape": shape}).model_dump_json().encode())
    with pytest.raises(StorageError, match="column patches is"):
        build()
    assert folders(index) == []


def test_a_server_that_is_away_is_one_line_and_leaves_nothing(build, index):
    uri = f"http://{LOOPBACK}:{free_ports(1)[0]}"
    with pytest.raises(VectorStoreError, match=f"Milvus at {uri} does not answer"):
        build(milvus=uri)
    assert not os.path.exists(index.root)


def test_milvus_lite_is_refused_for_an_object_store_before_anything_is_done(build):
    with pytest.raises(UsageError, match="--milvus"):
        build(index="s3://bucket/index")


def test_an_index_that_finds_too_little_is_not_kept_and_is_one_line(build, index, monkeypatch):
    monkeypatch.setattr(VectorStore, "search_keys", lambda self, collection, queries, *rest: [["none"]] * len(queries))
    with pytest.raises(VectorStoreError, match=r"^recall@12 of clips is 0.000 [^\n]*, below 0.95, with [^\n]*$"):
        build()
    assert folders(index) == []
    assert collections(index) == []


def test_an_index_type_that_this_milvus_has_not_is_wrong_usage_and_nothing_is_made(build, index):
    with pytest.raises(UsageError, match=r"^Milvus milvus_lite\S* has no DISKANN index: [^\n]*IVF_SQ8$"):
        build(index_type="DISKANN")
    assert version_numbers(index) == []
    assert collections(index) == []


def test_a_clip_that_its_own_vector_does_not_find_fails_the_build(build, index, monkeypatch):
    real = VectorStore.search
    monkeypatch.setattr(VectorStore, "search", lambda self, *args: [hits[1:] for hits in real(self, *args)])
    with pytest.raises(IndexCorruptError, match="is not found by its own vector"):
        build()
    assert collections(index) == []


def test_tables_whose_videos_were_all_deleted_are_not_sent_to_extract():
    tables = Store("/tables")
    assert "were deleted" in _way_to_clips(["deleted", "silent"], tables)
    assert _way_to_clips([], tables) == "run 'reelsift extract --tables /tables' first"
