import io
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.index.build_lock import only_build
from pipeline.index.fine_store import FineStore
from pipeline.index.frames_choice import choose_frames
from pipeline.index.unfinished import MARKER
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import list_versions, live_version, publish, read_manifest, version_numbers, version_store
from pipeline.storage import Store
from pipeline.tables import write_parquet
from schemas.errors import IndexCorruptError, ModelMismatchError, StorageError, UsageError, VectorStoreError
from schemas.tables import CLIPS_DIR, VIDEOS_DIR, clips_schema
from tests.pipeline.index.processes import OWN, ROOT, running
from tests.servers.process import LOOPBACK, free_ports
from tests.tables_factory import make_tables

# Ends itself as kill -9 would, after so many clips.
KILLED_BUILD = """
import os, signal, sys
from pipeline.index.build import build_index
from schemas.config import IndexConfig

def progress(done, total, doing):
    if done >= int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

build_index(IndexConfig(tables=sys.argv[1], index=sys.argv[2], batch_rows=5), progress)
"""

HELD_INDEX = """
import sys
from pipeline.index.build_lock import only_build
from pipeline.storage import Store
with only_build(Store(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def opened(index, version=1):
    manifest = read_manifest(index, version)
    return manifest, VectorStore.open(manifest.milvus, index.root), FineStore(version_store(index, version), manifest)


def collections(index):
    vectors = VectorStore.open("lite", index.root)
    found = vectors.collections()
    vectors.close()
    return found


def frames_of(clip):
    return int(np.sum(clip["mask"]))


def both(collection):
    return [collection, f"{collection}_frames"]


def folders(index):
    return sorted(os.listdir(index.path("versions")))


def test_each_clip_is_found_by_its_own_vector_and_its_address_holds_its_tokens(build, tables, index):
    summary = build(shard_bytes=300_000)
    manifest, vectors, fine = opened(index)
    assert (summary.version, summary.clips, summary.live) == (1, 12, False)
    assert len(manifest.shards) == 3
    for clip in tables.clips:
        query = np.asarray(clip["coarse"], np.float32)[None]
        hit = vectors.search(summary.collection, query, 1)[0][0]
        assert [getattr(hit, name) for name in ("clip_id", "video_id", "uri", "start_s", "end_s")] == [
            clip[name] for name in ("clip_id", "video_id", "uri", "start_s", "end_s")
        ]
        assert hit.coarse_score == pytest.approx(1, abs=1e-5)
        records = fine.read([(hit.shard, hit.row)])
        assert records.clip_ids == [clip["clip_id"]]
        np.testing.assert_array_equal(records.clips.patches.inflated()[0], tables.tokens(clip, "patches"))
    fine.close()
    vectors.close()


def test_the_manifest_binds_model_shape_counts_and_places(build, tables, index, model, tmp_path):
    summary = build(codec="fp32")
    manifest = read_manifest(index, 1)
    assert (manifest.model, manifest.model_id) == (model.name, model.model_id)
    assert (manifest.weights_sha256, manifest.scoring) == (model.weights_sha256, model.scoring)
    assert (manifest.token_shape, manifest.sampler) == (model.token_shape, "uniform")
    assert (manifest.clips, manifest.videos, manifest.milvus, manifest.index_type) == (12, 4, "lite", "FLAT")
    assert manifest.tables == str(tmp_path / "tables")
    record, vector = (manifest.shards[0].size_bytes - 4096) // 12, 4 * model.token_shape.dim
    frames = sum(map(frames_of, tables.clips))
    assert (manifest.frames.rows, manifest.frames.index_type) == (summary.frame_rows, "FLAT") == (frames, "FLAT")
    assert summary.bytes_per_clip == manifest.bytes_per_clip == round(record + vector + vector * frames / 12)
    assert not version_store(index, 1).exists(MARKER)


def test_versions_count_up_and_do_not_share_a_collection(build, index):
    first, second = build(), build(codec="fp32")
    assert (first.version, second.version) == (1, 2)
    assert first.alias == second.alias
    assert collections(index) == sorted(both(first.collection) + both(second.collection))
    assert [entry.codec for entry in list_versions(index)] == ["fp16", "fp32"]


def test_progress_reaches_the_total(build):
    seen = []
    build(lambda done, total, doing: seen.append((done, total)))
    assert [total for _, total in seen] == [12] * len(seen)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (12, 12)


@pytest.mark.parametrize("clips", [8, 12])
def test_what_a_killed_build_left_is_removed_and_the_next_build_is_whole(build, tables, index, tmp_path, clips):
    argv = [sys.executable, "-c", KILLED_BUILD, str(tmp_path / "tables"), index.root, str(clips)]
    killed = subprocess.run(argv, cwd=ROOT, check=False, timeout=120, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert folders(index) == ["1"]
    assert version_numbers(index) == []
    left = collections(index)
    assert len(left) == 2
    summary = build()
    assert (summary.version, summary.clips) == (1, 12)
    assert collections(index) == both(summary.collection)
    _, vectors, fine = opened(index)
    assert vectors.count(summary.collection) == 12
    fine.close()
    vectors.close()
    assert publish(index).live


def test_a_failed_build_leaves_nothing_and_the_live_version_stays(build, index):
    build()
    publish(index)

    def fail(done, total, doing):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(fail)
    assert folders(index) == ["1"]
    assert len(collections(index)) == 2
    assert live_version(index) == 1


def test_a_folder_that_no_build_marked_is_not_touched_and_its_number_not_used(build, index):
    os.makedirs(index.path("versions/4/fine"))
    Store(index.path("versions/4")).write("notes.txt", b"mine")
    assert build().version == 5
    assert Store(index.path("versions/4")).read("notes.txt") == b"mine"


def test_a_build_killed_after_its_manifest_is_complete(build, index):
    build()
    version_store(index, 1).write(MARKER, json.dumps({"milvus": "lite", "collection": "x"}).encode())
    assert build().version == 2
    assert version_numbers(index) == [1, 2]
    assert not version_store(index, 1).exists(MARKER)


def test_a_second_build_at_the_same_time_is_refused_in_one_line(build, index):
    with only_build(index), pytest.raises(StorageError, match=r"^another build is writing [^\n]*$"):
        build()
    assert build().version == 1


def test_a_build_in_another_process_is_waited_for_only_as_long_as_that_process_lives(build, index):
    with running(HELD_INDEX, index.root) as holder:
        with pytest.raises(StorageError, match=r"^another build is writing [^\n]*$"):
            build()
        holder.kill()
        holder.wait(30)
        assert build().version == 1


def test_a_build_outlives_the_process_that_owned_milvus_lite(build, index):
    Store(index.root).write("index.json", b'{"id": "abc"}')
    with running(OWN, index.root) as owner:
        said = []

        def progress(done, total, doing):
            if not said:
                said.append(done)
                owner.kill()
                owner.wait(30)

        summary = build(progress)
    assert summary.clips == 12
    vectors = VectorStore.open("lite", index.root)
    assert vectors.count(summary.collection) == 12
    vectors.close()


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


def test_each_real_frame_and_no_padding_leads_to_its_clip(build, tables, index):
    build()
    manifest, vectors, fine = opened(index)
    assert vectors.count(manifest.frames.collection) == sum(map(frames_of, tables.clips)) < 12 * 12
    for clip in tables.clips:
        tokens = tables.tokens(clip, "frames").astype(np.float32)
        for frame in (tokens[0], tokens[frames_of(clip) - 1]):
            hit = vectors.search_frames(manifest.frames.collection, frame, 1)[0]
            assert hit.clip_id == clip["clip_id"]
            assert hit.frame_score == pytest.approx(float(frame @ frame), abs=1e-5)
    fine.close()
    vectors.close()


def test_an_index_is_built_without_frame_vectors_when_told_so(build, index, model):
    said = []
    summary = build(frames="no", say=said.append)
    manifest = read_manifest(index, 1)
    assert (manifest.frames, summary.frame_rows) == (None, 0)
    assert collections(index) == [summary.collection]
    assert summary.bytes_per_clip == (manifest.shards[0].size_bytes - 4096) // 12 + 4 * model.token_shape.dim
    assert said[0] == "frame vectors: no (as asked)"
    assert [line.split(":")[0] for line in said[1:]] == ["recall@12 of clips"]
    assert publish(index).live


@pytest.mark.parametrize(
    ("setting", "milvus", "clips", "made"),
    [
        ("auto", "lite", 8_333, True),
        ("auto", "lite", 8_334, False),
        ("auto", "http://there:19530", 10**9, True),
        ("yes", "lite", 10**6, True),
        ("no", "lite", 1, False),
        ("no", "http://there:19530", 1, False),
    ],
)
def test_frame_vectors_are_made_where_they_are_affordable_or_asked_for(setting, milvus, clips, made):
    assert choose_frames(setting, milvus, clips, 12).made == made


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


def test_a_copy_of_an_index_does_not_replace_what_the_original_has_in_a_shared_milvus(
    build, index, tmp_path, milvus_server
):
    build(frames="no", milvus=milvus_server)
    shutil.copytree(index.root, tmp_path / "copy")
    original = build(frames="no", milvus=milvus_server)
    with pytest.raises(IndexCorruptError, match="is there a copy of the index"):
        build(frames="no", milvus=milvus_server, index=str(tmp_path / "copy"))
    vectors = VectorStore.open(milvus_server, index.root)
    assert vectors.count(original.collection) == 12
    vectors.close()


def test_what_a_killed_build_left_on_another_milvus_is_removed_there(build, index, milvus_server):
    vectors = VectorStore.open(milvus_server, index.root)
    vectors.create("reelsift_left_behind_v1", 8)
    vectors.create_frames("reelsift_left_behind_v1_frames", 8)
    version_store(index, 1).write(
        MARKER, json.dumps({"milvus": milvus_server, "collection": "reelsift_left_behind_v1"}).encode()
    )
    assert build().version == 1
    assert not set(both("reelsift_left_behind_v1")) & set(vectors.collections())
    vectors.close()


def test_milvus_lite_is_refused_for_an_object_store_before_anything_is_done(build):
    with pytest.raises(UsageError, match="--milvus"):
        build(index="s3://bucket/index")


def test_an_index_on_a_server_is_as_good_as_one_in_the_index(build, tables, index, milvus_server):
    summary = build(milvus=milvus_server)
    publish(index)
    manifest, vectors, fine = opened(index)
    assert manifest.milvus == milvus_server
    assert vectors.resolve_alias(summary.alias) == summary.collection
    query = np.asarray(tables.clips[5]["coarse"], np.float32)[None]
    hit = vectors.search(summary.collection, query, 1)[0][0]
    assert fine.read([(hit.shard, hit.row)]).clip_ids == [tables.clip_ids[5]]
    frame = tables.tokens(tables.clips[7], "frames")[2].astype(np.float32)
    assert vectors.search_frames(manifest.frames.collection, frame, 1)[0].clip_id == tables.clip_ids[7]
    fine.close()
    vectors.close()


def test_an_index_type_is_made_as_asked_for_and_its_recall_and_parameters_are_in_the_manifest(build, index):
    said = []
    build(index_type="HNSW", say=said.append)
    manifest = read_manifest(index, 1)
    for index_type, ann in ((manifest.index_type, manifest.ann), (manifest.frames.index_type, manifest.frames.ann)):
        assert (index_type, ann.params, ann.search) == ("HNSW", {"M": 16, "efConstruction": 100}, {"ef": 200})
        assert (ann.recall.queries, ann.recall.target, ann.recall.least) == (12, 0.95, 1)
    assert (manifest.ann.recall.k, manifest.frames.ann.recall.k) == (12, 50)
    assert any(
        line.startswith("recall@12 of clips: 1.000 for own vectors and 1.000 for noisy ones, HNSW") for line in said
    )


def test_an_index_that_finds_too_little_is_not_kept_and_is_one_line(build, index, monkeypatch):
    monkeypatch.setattr(VectorStore, "search_keys", lambda self, collection, queries, *rest: [["none"]] * len(queries))
    with pytest.raises(VectorStoreError, match=r"^recall@12 of clips is 0.000 [^\n]*, below 0.95, with [^\n]*$"):
        build()
    assert folders(index) == []
    assert collections(index) == []


def test_search_parameters_are_raised_until_the_recall_is_good_enough(build, index, monkeypatch):
    real = VectorStore.search_keys

    def bad_below_800(self, collection, queries, limit, search):
        return real(self, collection, queries, limit, search) if search["ef"] >= 800 else [["none"]] * len(queries)

    monkeypatch.setattr(VectorStore, "search_keys", bad_below_800)
    said = []
    build(index_type="HNSW", frames="no", say=said.append)
    assert read_manifest(index, 1).ann.search == {"ef": 800}
    assert any("ef 800 (raised from ef 200 to reach 0.95)" in line for line in said)


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


def test_the_schema_of_the_test_tables_is_the_real_one(tables, tmp_path, model):
    store = Store(str(tmp_path / "tables"))
    for name in store.names(CLIPS_DIR):
        found = pq.read_schema(store.path(f"{CLIPS_DIR}/{name}"))
        assert found.equals(clips_schema(model.token_shape, model.model_id), check_metadata=False)
