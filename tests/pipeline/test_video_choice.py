"""Exactly the videos that are meant are chosen, and a choice that means none is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage import Store
from pipeline.tables import read_plan, write_parquet
from pipeline.video_choice import Condition, choose_videos
from schemas.errors import StorageError, UsageError
from schemas.tables import PLAN_DIR, PLAN_SCHEMA
from tests.tables_damage import change_row, tasks
from tests.tables_factory import make_tables


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "tables"))
    make_tables(store)
    return store


def chosen(store, **which):
    return sorted(choose_videos(store, **which).uris.values())


@pytest.mark.parametrize(
    ("which", "numbers"),
    [
        ({"uris": ["/videos/s0-0001.mp4"]}, [1]),
        ({"uris": ["/videos/*"]}, [0, 1, 2, 3]),
        ({"uris": ["/videos/s0-000?.mp4"]}, [0, 1, 2, 3]),
        ({"uris": ["*2.mp4", "/videos/../videos/s0-0003.mp4"]}, [2, 3]),
        ({"where": ["width=64", "duration_s<=12"]}, [0, 1, 2, 3]),
        ({"where": ["uri!=/videos/s0-0002.mp4"]}, [0, 1, 3]),
        ({"uris": ["*0.mp4", "*3.mp4"], "where": ["uri>=/videos/s0-0002.mp4"]}, [3]),
    ],
)
def test_what_is_meant_is_chosen(store, which, numbers):
    assert chosen(store, **which) == [f"/videos/s0-000{number}.mp4" for number in numbers]


@pytest.mark.parametrize(
    ("which", "says"),
    [
        ({"video_ids": ["v0"]}, "has no video v0"),
        ({"uris": ["/videos/none*"]}, "has no video at /videos/none"),
        ({"uris": ["/videos/s0-000[12].mp4"]}, "has no video at"),
        ({"where": ["width>64"]}, "no video of"),
        (
            {"uris": ["*0.mp4", "*1.mp4"], "where": ["uri>=/videos/s0-0002.mp4"]},
            "none of the 2 videos named meets --where",
        ),
        ({"where": ["width"]}, "is no condition"),
        ({"where": ["size=3"]}, "no column 'size'"),
        ({"where": ["width=wide"]}, "holds numbers"),
        ({"where": ["duration_s>nan"]}, "holds numbers, 'nan' is none"),
    ],
)
def test_a_choice_that_means_nothing_is_refused(store, which, says):
    with pytest.raises(UsageError, match=says) as caught:
        choose_videos(store, **which)
    assert "\n" not in str(caught.value)


def test_a_pending_video_is_not_chosen(store):
    (row, *_) = read_plan(store).rows.to_pylist()
    planned = PLAN_SCHEMA.empty_table().from_pylist([row | {"etag": "new", "task_id": "t0"}], PLAN_SCHEMA)
    store.write(f"{PLAN_DIR}/part-00001.parquet", write_parquet(planned))
    with pytest.raises(StorageError, match=f"{row['uri']} among them, are pending"):
        choose_videos(store, uris=["/videos/*"])


def test_a_condition_never_adds_to_the_videos_that_are_named(store):
    planned = dict(zip(*(read_plan(store).rows[name].to_pylist() for name in ("video_id", "uri")), strict=True))
    (first, second, *_) = planned
    which = {"video_ids": [first], "uris": [planned[second]]}
    assert set(choose_videos(store, **which).uris) == {first, second}
    assert set(choose_videos(store, **which, where=[f"uri={planned[first]}"]).uris) == {first}
    assert len(choose_videos(store, **which, where=["width=64"]).uris) == 2


def test_metadata_is_compared_as_what_it_is(store):
    change_row(store, f"videos/{tasks(store)[0]}.parquet", 0, metadata='{"licence": "none", "year": 2019, "own": true}')
    for condition in ("metadata.licence=none", "metadata.year<2020", "metadata.year = 2019", "metadata.own=true"):
        assert len(chosen(store, where=[condition])) == 1
    with pytest.raises(UsageError):
        choose_videos(store, where=["metadata.year=none"])


@pytest.mark.parametrize("text", ["{", "", "[1]", "null"])
def test_metadata_that_are_none_are_told_with_their_source(store, text):
    change_row(store, f"videos/{tasks(store)[0]}.parquet", 0, metadata=text)
    with pytest.raises(StorageError, match=r"^the row of /videos/s0-\d+\.mp4 in the videos table: .*is no JSON object"):
        choose_videos(store, where=["metadata.s=1"])


@given(st.text(), st.sampled_from(["=", "!="]))
def test_any_text_is_compared_as_it_stands(value, operator):
    condition = Condition.of(f"uri{operator}{value}")
    assert condition.holds({"uri": value.strip()}) == (operator == "=")
