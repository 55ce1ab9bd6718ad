"""Status counts every planned source once, from the plan and the commits alone."""

import pytest

from pipeline.status import status_of
from pipeline.storage import Store
from schemas.errors import StorageError
from tests.tables_damage import quarantine, tasks
from tests.tables_factory import make_tables


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "tables"))


def test_every_planned_source_is_counted_once_and_pending_ones_are_those_without_commit(store):
    make_tables(store, num_videos=6)
    first, _, third = tasks(store)
    quarantine(store, first, 0, "timeout")
    store.delete(f"videos/{third}.parquet")
    status = status_of(store)
    assert (status.planned, status.done, status.filtered, status.quarantined, status.pending) == (6, 3, 0, 1, 2)
    assert status.clips == 3 * 3
    assert status.reasons == {"timeout": 1}
    # Each done video of the factory has 12 seconds and 1,000 bytes, and each took 0.1 s to decode.
    assert status.video_hours == pytest.approx(3 * 12 / 3600, abs=1e-4)
    assert status.source_bytes == 3000
    assert status.decode_hours == pytest.approx(0.4 / 3600, abs=1e-4)


def test_clips_objects_are_not_needed(store):
    make_tables(store)
    before = status_of(store)
    for name in store.names("clips"):
        store.delete(f"clips/{name}")
    assert status_of(store) == before


def test_nothing_planned_is_one_line_that_says_what_to_do(store):
    with pytest.raises(StorageError, match=r"holds no planned sources: run 'reelsift extract"):
        status_of(store)


def test_a_plan_that_grows_behind_the_count_cannot_make_it_disagree(store, monkeypatch):
    make_tables(store)
    read = store.written

    def written(folder):
        if folder == "videos":
            monkeypatch.undo()
            make_tables(store, seed=1)
        return read(folder)

    monkeypatch.setattr(store, "written", written)
    status = status_of(store)
    assert status.planned == status.done + status.filtered + status.quarantined + status.pending
    assert status.pending >= 0


def test_tables_in_an_object_store_are_counted_alike(s3_server, s3_env):
    store = Store(f"s3://{s3_server.bucket}/status")
    make_tables(store)
    status = status_of(store)
    assert (status.planned, status.done, status.pending, status.clips) == (4, 4, 0, 12)
