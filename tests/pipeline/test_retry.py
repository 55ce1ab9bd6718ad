"""A retry makes quarantined sources pending, and touches nothing else."""

import json

import pytest

from pipeline.retry import retry
from pipeline.stages.plan import pending_tasks
from pipeline.status import tables_status
from pipeline.storage import Store
from pipeline.tables import committed_tasks, iter_clips, read_plan, read_videos, write_parquet
from schemas.config import RetryConfig
from schemas.errors import ConfigError, StorageError
from tests.tables_damage import quarantine, tasks
from tests.tables_factory import make_tables


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "tables"))


@pytest.fixture
def made(store):
    """Six videos in three tasks; one of the first task timed out, and one of the second is no video."""
    info = make_tables(store, num_videos=6).info
    first, second, _ = tasks(store)
    return info, quarantine(store, first, 0, "timeout"), quarantine(store, second, 1, "not_a_video")


def again(store, **settings):
    return retry(RetryConfig(tables=store.root, **settings))


def objects(store):
    return {f"{folder}/{name}": store.read(f"{folder}/{name}") for folder in ("plan", "clips", "videos")
            for name in store.names(folder)}  # fmt: skip


def test_only_what_may_pass_is_pending_again_and_no_object_changes(store, made):
    _, timed_out, _ = made
    before = objects(store)
    summary = again(store)
    assert (summary.retried, summary.reasons) == (1, {"timeout": 1})
    after = objects(store)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"plan/part-00001.parquet"}
    pending = pending_tasks(read_plan(store).rows, committed_tasks(store))
    assert [[row["video_id"] for row in json.loads(rows)] for _, rows in pending] == [[timed_out]]
    status = tables_status(store)
    assert (status.planned, status.done, status.quarantined, status.pending) == (6, 4, 1, 1)


def test_the_clips_of_the_others_stay_visible_throughout(store, made):
    info, *_ = made
    clips = [clip for table in iter_clips(store, info.model_id) for clip in table["clip_id"].to_pylist()]
    again(store)
    assert [clip for table in iter_clips(store, info.model_id) for clip in table["clip_id"].to_pylist()] == clips


def test_a_reason_that_is_asked_for_is_retried_and_no_other(store, made):
    *_, no_video = made
    assert again(store, reason="not_a_video").reasons == {"not_a_video": 1}
    assert no_video not in read_videos(store)["video_id"].to_pylist()


def test_a_second_retry_before_the_next_extract_does_nothing(store, made):
    again(store)
    before = objects(store)
    assert again(store).retried == 0
    assert objects(store) == before


def test_the_attempt_goes_up_with_each_retry_and_stands_in_the_rows_of_the_stage(store, made):
    from pipeline.stages.decode import video_row

    _, timed_out, _ = made
    for attempt in (2, 3):
        again(store)
        ((task, sources),) = pending_tasks(read_plan(store).rows, committed_tasks(store))
        (source,) = json.loads(sources)
        row = video_row(source, "quarantined", reason="timeout", detail="again")
        assert (row["attempt"], row["task_id"], row["video_id"]) == (attempt, task, timed_out)
        _commit(store, task, row)
        assert tables_status(store).reasons == {"not_a_video": 1, "timeout": 1}
    attempts = dict(zip(*read_videos(store).select(["video_id", "attempt"]).to_pydict().values(), strict=True))
    assert {video: attempt for video, attempt in attempts.items() if attempt > 1} == {timed_out: 3}


def _commit(store, task, row):
    import pyarrow as pa

    from schemas.tables import VIDEOS_SCHEMA

    store.write(f"videos/{task}.parquet", write_parquet(pa.Table.from_pylist([row], VIDEOS_SCHEMA)))


def test_a_part_that_another_process_adds_meanwhile_is_kept(store, made, monkeypatch):
    create = Store.create

    def create_second(self, name, data):
        monkeypatch.undo()
        make_tables(store, num_videos=2, seed=1)
        return create(self, name, data)

    monkeypatch.setattr(Store, "create", create_second)
    assert again(store).retried == 1
    assert store.names("plan") == [f"part-0000{number}.parquet" for number in range(3)]
    assert (tables_status(store).planned, tables_status(store).pending) == (8, 1)


def test_plans_written_before_there_were_retries_count_as_the_first_attempt(store, made):
    import io

    import pyarrow.parquet as pq

    old = pq.read_table(io.BytesIO(store.read("plan/part-00000.parquet"))).drop_columns("attempt")
    store.write("plan/part-00000.parquet", write_parquet(old))
    assert read_plan(store).rows["attempt"].to_pylist() == [1] * 6
    again(store)
    assert sorted(read_plan(store).rows["attempt"].to_pylist()) == [1] * 5 + [2]


@pytest.mark.parametrize(("reason", "says"), [("bad_name", "rename the file"), ("slow", "must be one of")])
def test_a_reason_that_no_retry_mends_is_refused(store, reason, says):
    with pytest.raises(ConfigError, match=says):
        RetryConfig.of({"tables": store.root, "reason": reason})


def test_tables_that_are_none_are_refused(store):
    with pytest.raises(StorageError, match="holds no tables"):
        again(store)
