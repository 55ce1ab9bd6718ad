import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.index.frames_choice import choose_frames
from pipeline.index.switch import publish
from pipeline.index.unfinished import MARKER
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import list_versions, read_manifest, version_store
from pipeline.storage import Store
from schemas.errors import IndexCorruptError
from schemas.tables import CLIPS_DIR, clips_schema
from tests.pipeline.index.built import both, collections, frames_of, opened


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


def test_search_parameters_are_raised_until_the_recall_is_good_enough(build, index, monkeypatch):
    real = VectorStore.search_keys

    def bad_below_800(self, collection, queries, limit, search):
        return real(self, collection, queries, limit, search) if search["ef"] >= 800 else [["none"]] * len(queries)

    monkeypatch.setattr(VectorStore, "search_keys", bad_below_800)
    said = []
    build(index_type="HNSW", frames="no", say=said.append)
    assert read_manifest(index, 1).ann.search == {"ef": 800}
    assert any("ef 800 (raised from ef 200 to reach 0.95)" in line for line in said)


def test_the_schema_of_the_test_tables_is_the_real_one(tables, tmp_path, model):
    store = Store(str(tmp_path / "tables"))
    for name in store.names(CLIPS_DIR):
        found = pq.read_schema(store.path(f"{CLIPS_DIR}/{name}"))
        assert found.equals(clips_schema(model.token_shape, model.model_id), check_metadata=False)
