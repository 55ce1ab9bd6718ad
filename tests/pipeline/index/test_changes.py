"""What is deleted is nowhere any more, what is added is found, and a kill between any two steps changes neither."""

import shutil
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline import erase as erase_module
from pipeline.both_stages import Stages
from pipeline.extract_lease import only_driver
from pipeline.index import fine_holes
from pipeline.index import finish as finish_module
from pipeline.index.build import build_index
from pipeline.index.delete import delete_videos
from pipeline.index.garbage import collect_garbage
from pipeline.index.intent import read_intent
from pipeline.index.switch import publish
from pipeline.index.update import update_index
from pipeline.index.vector_store import VectorStore
from pipeline.index.version_rows import VersionRows
from pipeline.index.versions import list_versions, live_manifest, open_fine, read_manifest, version_store
from pipeline.ranking import EncodedQuery, ranked
from pipeline.storage import Store
from pipeline.tables import iter_clips, read_plan, read_videos, require_info, write_parquet
from pipeline.verify.run import verify
from schemas.config import VerifyConfig
from schemas.errors import IndexCorruptError, IndexMissingError, StorageError, UsageError
from schemas.ids import clip_id, task_id
from schemas.index_config import DeleteConfig, IndexConfig, UpdateConfig
from schemas.tables import CLIPS_DIR, PLAN_DIR, PLAN_SCHEMA, VIDEOS_DIR, VIDEOS_SCHEMA
from tests.tables_damage import change_row, change_rows, tasks
from tests.tables_factory import make_tables

# Where a kill is put: what is called there, before it does anything and after it has done all.
DELETE_STEPS = [
    (erase_module, "_erase_clips"),
    (erase_module, "_mark_deleted"),
    (VectorStore, "delete"),
    (VectorStore, "flush"),
    (fine_holes, "_rewrite"),
    (finish_module, "write_revision"),
    (VersionRows, "wait_until_gone"),
    (finish_module, "sweep"),
    (finish_module, "end"),
]
UPDATE_STEPS = [
    (VersionRows, "remove_uncovered"),
    (VectorStore, "delete"),
    (fine_holes, "_rewrite"),
    (VectorStore, "insert"),
    (finish_module, "_compare"),
    (finish_module, "write_tasks"),
    (finish_module, "write_revision"),
    (finish_module, "sweep"),
    (finish_module, "end"),
]


class Kill(BaseException):
    """In the place of kill -9: nothing in the code under test catches it."""


def killed(step, after, work):
    """Run `work` and end it before or after the first call of a step; whether it came there."""
    where, name = step
    real = getattr(where, name)

    def stop(*args, **kwargs):
        if after:
            real(*args, **kwargs)
        raise Kill

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, name, stop)
        try:
            work()
        except Kill:
            return True
    return False


@pytest.fixture(scope="module")
def made(tmp_path_factory, model):
    """Tables, and an index of two versions without and with frame vectors, the second one live; never written to."""
    root = tmp_path_factory.mktemp("made")
    tables = make_tables(
        Store(str(root / "tables")), shape=model.token_shape, model_id=model.model_id, model=model.name
    )
    for frames in ("no", "yes"):
        settings = {"tables": str(root / "tables"), "index": str(root / "index"), "frames": frames}
        build_index(IndexConfig.of(settings | {"shard_bytes": 500_000}))
    publish(Store(str(root / "index")))
    return root, tables


@pytest.fixture
def tables(made, tmp_path):
    shutil.copytree(made[0] / "tables", tmp_path / "tables")
    return made[1]


@pytest.fixture
def store(tables, tmp_path):
    return Store(str(tmp_path / "tables"))


@pytest.fixture
def live(made, index):
    """A copy of the index."""
    shutil.copytree(made[0] / "index", index.root)
    return index


def problems(store, index):
    return verify(VerifyConfig(tables=store.root, index=index.root)).problems


def delete(store, index, **chosen):
    return delete_videos(DeleteConfig(tables=store.root, index=index.root, **chosen))


def update(store, index, **changes):
    return update_index(UpdateConfig(tables=store.root, index=index.root, batch_rows=2, shard_bytes=500_000, **changes))


def found(index, k=50):
    """Clip ids that a search over everything answers with, in the live version, best first."""
    manifest, fine = open_fine(index, live_manifest(index))
    text_D = np.ones(manifest.token_shape.dim, np.float32) / manifest.token_shape.dim**0.5
    with closing(VectorStore.open(manifest.milvus, index.root)) as vectors, closing(fine):
        recalled, scored = Stages(vectors, fine, manifest, "both", k, k).find(EncodedQuery(text_D, text_D))
    return [hit.clip_id for hit in ranked(recalled.hits, scored, k)]


def in_tables(store):
    return sorted(clip for table in iter_clips(store, read_model(store)) for clip in table["clip_id"].to_pylist())


def read_model(store):
    return require_info(store).model_id


def replan(store, video, etag, seed):
    """The file of a video changed: it is planned anew, extracted, and has two clips where it had three."""
    plan = read_plan(store)
    (row,) = [row for row in plan.rows.to_pylist() if row["video_id"] == video]
    scratch = Store(f"{store.root}-{seed}")
    info = require_info(store)
    made = make_tables(scratch, 1, 2, shape=info.token_shape, model_id=info.model_id, seed=seed)
    task = task_id([(video, etag)])
    same = {"video_id": video, "uri": row["uri"]}
    clips = [clip | same | {"clip_id": clip_id(video, clip["start_s"], clip["end_s"])} for clip in made.clips]
    schema = next(iter(iter_clips(scratch, made.info.model_id))).schema
    store.write(f"{CLIPS_DIR}/{task}.parquet", write_parquet(pa.Table.from_pylist(clips, schema)))
    (done,) = read_videos(scratch).to_pylist()
    changed = done | {"video_id": video, "uri": row["uri"], "etag": etag, "task_id": task}
    store.write(f"{VIDEOS_DIR}/{task}.parquet", write_parquet(pa.Table.from_pylist([changed], VIDEOS_SCHEMA)))
    planned = pa.Table.from_pylist([row | {"etag": etag, "task_id": task}], PLAN_SCHEMA)
    store.write(f"{PLAN_DIR}/part-{plan.next_part:05d}.parquet", write_parquet(planned))


def test_a_deleted_video_is_nowhere_in_tables_shards_and_milvus_of_any_version(live, store, tables):
    gone = {clip["clip_id"] for clip in tables.clips if clip["video_id"] == tables.clips[0]["video_id"]}
    summary = delete(store, live, video_id=(tables.clips[0]["video_id"],))
    assert (summary.clips_in_tables, summary.clips_in_versions) == (3, {1: 3, 2: 3})
    kept = sorted(set(tables.clip_ids) - gone)
    assert in_tables(store) == kept
    assert sorted(found(live)) == kept
    assert problems(store, live) == []
    for number in (1, 2):
        manifest = read_manifest(live, number)
        assert (manifest.revision, manifest.clips, manifest.videos) == (2, 9, 3)
        files = version_store(live, number).names("fine", hidden=True)
        assert files == sorted(shard.name for shard in manifest.shards)
        data = b"".join(version_store(live, number).read(f"fine/{name}") for name in files)
        assert not [clip for clip in gone if clip.encode() in data]
    (row,) = [row for row in read_videos(store).to_pylist() if row["video_id"] == tables.clips[0]["video_id"]]
    assert (row["status"], row["reason"], row["clip_count"]) == ("filtered", "deleted", 0)
    again = delete(store, live, video_id=(tables.clips[0]["video_id"],))
    assert (again.already, again.clips) == (1, 0)
    assert read_manifest(live, 2).revision == 2


def test_a_delete_killed_before_or_after_any_step_is_ended_by_the_next_one(live, store, tables):
    videos = sorted({clip["video_id"] for clip in tables.clips})
    reached = []
    for step in DELETE_STEPS:
        for after in (False, True):
            reached.append(killed(step, after, lambda: delete(store, live, video_id=(videos[0],))))
            if reached[-1] and read_intent(live):
                assert any("has not ended" in problem for problem in problems(store, live))
                with pytest.raises(StorageError, match="a delete that began"):
                    publish(live, 1)
    # What is written once is not written again: but every step was come to at least once.
    assert [any(pair) for pair in zip(reached[::2], reached[1::2], strict=True)] == [True] * len(DELETE_STEPS)
    delete(store, live, video_id=(videos[0],))
    assert problems(store, live) == []
    assert sorted(found(live)) == in_tables(store)
    assert read_manifest(live, 2).revision == 2


def test_new_tasks_are_added_and_changed_videos_replaced_without_a_rebuild(live, store, tables, model):
    video = tables.clips[0]["video_id"]
    replan(store, video, "changed", seed=7)
    make_tables(store, 3, shape=model.token_shape, model_id=model.model_id, model=model.name, seed=1)
    summary = update(store, live)
    assert (summary.version, summary.revision, summary.clips_removed, summary.clips_added) == (2, 2, 3, 11)
    assert [listed.revision for listed in list_versions(live)] == [1, 2]
    assert sorted(found(live)) == in_tables(store)
    assert problems(store, live) == []
    names = [shard.name for shard in read_manifest(live, 2).shards]
    before = [shard.name for shard in read_manifest(live, 1).shards]
    assert [name.split(".")[0] for name in names[: len(before)]] == [name.split(".")[0] for name in before]
    assert len(names) > len(before)
    assert update(store, live).revision == 2


def test_an_update_killed_before_or_after_any_step_is_ended_by_the_next_one(live, store, tables, model):
    replan(store, tables.clips[0]["video_id"], "changed", seed=7)
    make_tables(store, 3, shape=model.token_shape, model_id=model.model_id, model=model.name, seed=1)
    reached = []
    for step in UPDATE_STEPS:
        for after in (False, True):
            reached.append(killed(step, after, lambda: update(store, live)))
            # Whatever is written by now, readers get no clip twice, and none that has no record.
            ids = found(live)
            assert len(ids) == len(set(ids)) >= 9
    assert [any(pair) for pair in zip(reached[::2], reached[1::2], strict=True)] == [True] * len(UPDATE_STEPS)
    update(store, live)
    assert problems(store, live) == []
    assert sorted(found(live)) == in_tables(store)


def test_a_build_and_a_gc_first_end_what_was_cut_short(live, store, tables, build):
    videos = sorted({clip["video_id"] for clip in tables.clips})
    for number, work in enumerate((build, lambda: collect_garbage(live, 1))):
        chosen = (videos[number],)
        assert killed((finish_module, "write_revision"), False, partial(delete, store, live, video_id=chosen))
        work()
        assert read_intent(live) is None
        assert read_manifest(live, 2).clips == 9 - 3 * number
    assert problems(store, live) == []


def test_a_dry_run_names_what_would_go_and_changes_nothing(live, store, tables):
    before = {name: store.read(f"{CLIPS_DIR}/{name}") for name in store.names(CLIPS_DIR)}
    summary = delete(store, live, uri=("/videos/*",), dry_run=True)
    assert (len(summary.uris), summary.clips_in_tables, summary.dry_run) == (4, 12, True)
    assert {name: store.read(f"{CLIPS_DIR}/{name}") for name in store.names(CLIPS_DIR)} == before
    assert read_intent(live) is None
    assert sorted(found(live)) == sorted(tables.clip_ids)


def test_nothing_is_deleted_beside_an_index_that_is_not_there(store, tables, tmp_path):
    for name in ("nowhere", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(IndexMissingError, match="holds no index, and nothing was deleted"):
            delete(store, Store(str(tmp_path / name)), video_id=(tables.clips[0]["video_id"],))
    assert in_tables(store) == sorted(tables.clip_ids)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("data", [b"", b"junk", None])
def test_a_damaged_list_of_tasks_is_named_and_no_update_goes_by_it(live, store, data):
    name = f"versions/2/{live_manifest(live).tasks_object.name}"
    live.delete(name)
    if data is not None:
        live.write(name, data)
    (problem,) = problems(store, live)
    assert "is missing" in problem if data is None else "is damaged" in problem
    with pytest.raises(IndexCorruptError, match="build a new version"):
        update(store, live)
    assert read_intent(live) is None
    assert sorted(found(live)) == in_tables(store)


def test_a_version_is_updated_from_its_own_tables_only_wherever_they_are_now(live, store, tables, model, tmp_path):
    other = Store(str(tmp_path / "other"))
    make_tables(other, 3, shape=model.token_shape, model_id=model.model_id, model=model.name, seed=9)
    with pytest.raises(UsageError, match=r"tasks that .* never planned"):
        update(other, live)
    assert read_intent(live) is None
    shutil.copytree(store.root, tmp_path / "moved")
    assert update(Store(str(tmp_path / "moved")), live).clips == len(tables.clips)


def test_nothing_is_deleted_beside_an_index_of_other_tables(live, store, model, tmp_path):
    other = Store(str(tmp_path / "other"))
    made = make_tables(other, 1, 1, shape=model.token_shape, model_id=model.model_id, model=model.name, seed=9)
    for dry_run in (True, False):
        with pytest.raises(UsageError, match=f"was built from {other.root}, but from .*nothing was deleted"):
            delete(other, live, video_id=(made.clips[0]["video_id"],), dry_run=dry_run)
    assert in_tables(other) == made.clip_ids
    assert read_intent(live) is None


@pytest.mark.parametrize("spoil", ["other_task", "junk", "missing", "metadata", "twice"])
def test_new_clips_that_cannot_be_added_are_refused_before_anything_is_begun(live, store, model, tables, spoil):
    before = set(tasks(store))
    make_tables(store, shape=model.token_shape, model_id=model.model_id, model=model.name, seed=1)
    first, second = (f"{CLIPS_DIR}/{task}.parquet" for task in tasks(store) if task not in before)
    if spoil == "other_task":
        store.write(second, store.read(first))
    elif spoil == "junk":
        store.write(second, b"PAR1 and nothing else")
    elif spoil == "missing":
        store.delete(second)
    elif spoil == "metadata":
        change_row(store, second, metadata="{")
    else:
        change_rows(store, second, lambda rows: [*rows, rows[0]])
    says = {
        "other_task": "has 0 clips in the tables, its commit says 3",
        "junk": "is not Parquet",
        "missing": "does not exist",
        "metadata": "is no JSON object",
        "twice": "is in the tables twice",
    }
    with pytest.raises((IndexCorruptError, StorageError), match=rf"^[^\n]*{says[spoil]}[^\n]*$"):
        update(store, live)
    assert read_intent(live) is None
    assert read_manifest(live, 2).revision == 1
    assert sorted(found(live)) == sorted(tables.clip_ids)


@pytest.mark.parametrize("damage", ["flip", "lose"])
def test_a_damaged_shard_is_found_before_a_delete_begins_and_blocks_no_build(live, store, tables, damage):
    shard = live.path(f"versions/2/fine/{read_manifest(live, 2).shards[0].name}")
    data = bytearray(Path(shard).read_bytes())
    data[-1] ^= 1
    Path(shard).write_bytes(data) if damage == "flip" else Path(shard).unlink()
    manifest = read_manifest(live, 2)
    with pytest.raises(IndexCorruptError, match=r"nothing was changed.*build and publish a new version"):
        delete(store, live, uri=("*",))
    assert read_intent(live) is None
    assert in_tables(store) == sorted(tables.clip_ids)
    assert read_manifest(live, 2) == manifest
    # The way out that the message names.
    build_index(IndexConfig.of({"tables": store.root, "index": live.root, "frames": "no"}))
    publish(live, 3)
    shutil.rmtree(live.path("versions/2"))
    video = tables.clips[0]["video_id"]
    delete(store, live, video_id=(video,))
    assert (
        sorted(found(live))
        == in_tables(store)
        == sorted(clip["clip_id"] for clip in tables.clips if clip["video_id"] != video)
    )


def test_a_delete_that_a_damaged_version_holds_up_keeps_no_new_version_away(live, store, tables):
    video = tables.clips[0]["video_id"]
    gone = {clip["clip_id"] for clip in tables.clips if clip["video_id"] == video}
    assert killed((fine_holes, "_rewrite"), False, lambda: delete(store, live, video_id=(video,)))
    shard = Path(live.path(f"versions/2/fine/{read_manifest(live, 2).shards[0].name}"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(IndexCorruptError, match="build and publish a new version"):
        delete(store, live, video_id=(video,))
    # The versions that are whole have lost the clips, and so have the answers of the one that is not.
    assert (read_manifest(live, 1).clips, live_manifest(live).version) == (9, 2)
    assert not gone & set(found(live))
    build_index(IndexConfig.of({"tables": store.root, "index": live.root, "frames": "no"}))
    with pytest.raises(StorageError, match="a delete that began"):
        publish(live, 2)
    publish(live, 3)
    assert sorted(found(live)) == sorted(set(tables.clip_ids) - gone)
    shutil.rmtree(live.path("versions/2"))
    delete(store, live, video_id=(video,))
    assert read_intent(live) is None
    assert sorted(found(live)) == in_tables(store)


def test_an_unknown_video_changes_nothing(live, store, tables):
    with pytest.raises(UsageError, match="has no video v0"):
        delete(store, live, video_id=("v0", tables.clips[0]["video_id"]))
    assert in_tables(store) == sorted(found(live)) == sorted(tables.clip_ids)


def test_a_version_of_an_older_release_is_not_updated(live, store):
    manifest = live_manifest(live).model_copy(update={"tasks_object": None})
    live.write("versions/2/manifest.json", manifest.model_dump_json().encode())
    with pytest.raises(IndexCorruptError, match="older release"):
        update(store, live)


def test_nothing_is_deleted_while_an_extraction_writes_the_tables(live, store, tables):
    with only_driver(store), pytest.raises(StorageError, match="another extraction is writing"):
        delete(store, live, video_id=(tables.clips[0]["video_id"],))
    assert read_intent(live) is None
    assert in_tables(store) == sorted(tables.clip_ids)
