"""Each thing that can go wrong with tables, done once: verify names its object and row."""

import numpy as np
import pytest

from pipeline.extract_lease import only_driver
from pipeline.retry import retry
from pipeline.storage import Store
from pipeline.verify.run import verify
from schemas.config import RetryConfig, VerifyConfig
from schemas.errors import StorageError
from tests.tables_damage import change_row, change_rows, quarantine, rows_of, tasks
from tests.tables_factory import TINY, make_tables


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "tables"))
    make_tables(store)
    return store


def check(store):
    return verify(VerifyConfig(tables=store.root))


def only_problem(store):
    report = check(store)
    assert not report.ok
    assert len(report.problems) == 1, report.problems
    return report.problems[0]


def vectors(row, column):
    return np.frombuffer(row[column], "<f2").reshape(-1, TINY.dim).copy()


def test_whole_tables_have_no_problems_and_no_orphans(store):
    report = check(store)
    assert (report.ok, report.problems, report.orphans) == (True, [], [])
    assert (report.planned, report.objects, report.clips) == (4, 4, 12)


def test_a_quarantined_source_is_accounted_for(store):
    quarantine(store, tasks(store)[0], 1, "timeout")
    assert check(store).ok


@pytest.mark.parametrize("folder", ["clips", "videos"])
def test_metadata_that_are_no_json_object_are_named_with_their_row(store, folder):
    name = f"{folder}/{tasks(store)[0]}.parquet"
    change_row(store, name, 1, metadata="{")
    problem = only_problem(store)
    assert problem.startswith(f"{name} row 1 (")
    assert problem.endswith("): metadata '{' is no JSON object")


@pytest.mark.parametrize("column", ["frames", "temporal_frames", "patches"])
@pytest.mark.parametrize(("value", "says"), [(np.nan, "is not finite in 1 vectors"), (3.0, "is not of unit length")])
def test_a_token_that_is_not_a_finite_unit_vector_is_named_with_its_row(store, column, value, says):
    name = f"clips/{tasks(store)[0]}.parquet"

    def spoil(rows):
        tokens = vectors(rows[2], column)
        tokens[1, 0] = value
        rows[2][column] = tokens.tobytes()

    change_rows(store, name, spoil)
    _, rows = rows_of(store, name)
    assert only_problem(store).startswith(f"{name} row 2 ({rows[2]['clip_id']}): {column} {says}")


def test_a_zero_vector_of_a_real_frame_is_a_problem_and_of_padding_is_none(store):
    name = f"clips/{tasks(store)[0]}.parquet"
    change_rows(store, name, lambda rows: rows[0].update(frames=bytes(len(rows[0]["frames"]))))
    assert "frames is not of unit length in 3 vectors (one is 0)" in only_problem(store)


def test_padding_may_hold_unit_vectors_as_the_reference_profile_stores_them(store):
    def fill(rows):
        tokens = vectors(rows[1], "frames")
        assert not tokens[-1].any(), "the last frame of the second clip is padding"
        tokens[-1] = tokens[0]
        rows[1]["frames"] = tokens.tobytes()

    change_rows(store, f"clips/{tasks(store)[0]}.parquet", fill)
    assert check(store).ok


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"coarse": [2.0] + [0.0] * 7}, "coarse is not of unit length in 1 vectors (one is 2)"),
        ({"coarse": [float("inf")] + [0.0] * 7}, "coarse is not finite in 1 vectors"),
        ({"end_s": 3.0}, "its clip_id is not that of its video and span"),
        ({"start_s": -1.0}, "its span is -1 to 4 s"),
        ({"mask": [1, 0, 1]}, "mask [1, 0, 1] is not ones and then zeros"),
        ({"frame_times_s": [0.0]}, "1 frame times for 3 real frames"),
        ({"model_id": "other"}, "it is of model 'other'"),
    ],
)
def test_a_wrong_clip_row_is_named(store, columns, says):
    name = f"clips/{tasks(store)[1]}.parquet"
    change_row(store, name, 0, **columns)
    problems = check(store).problems
    assert problems
    assert all(problem.startswith(f"{name} row 0 (") for problem in problems)
    assert any(says in problem for problem in problems), problems


def test_a_lost_clip_row_and_a_doubled_one_are_named(store):
    first, second = (f"clips/{task}.parquet" for task in tasks(store))
    change_rows(store, first, lambda rows: rows[:-1])
    change_rows(store, second, lambda rows: [*rows, rows[0]])
    problems = check(store).problems
    assert any(problem.startswith(f"{first}: 2 clips of video v") and "says 3" in problem for problem in problems)
    assert any(problem.startswith(f"{second} row 6 (c") and "there twice" in problem for problem in problems)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"status": "lost"}, "unknown status 'lost'"),
        ({"status": "quarantined"}, "it is quarantined, with reason None and 3 clips"),
        ({"etag": "other"}, "etag is 'other', planned was 'etag'"),
        ({"attempt": 2}, "attempt is 2, planned was 1"),
        ({"task_id": "t0"}, "it is not planned in this task"),
        ({"clip_count": 4}, "its commit says 4"),
    ],
)
def test_a_wrong_videos_row_is_named(store, columns, says):
    task = tasks(store)[0]
    change_row(store, f"videos/{task}.parquet", 1, **columns)
    problems = check(store).problems
    assert any(says in problem and task in problem for problem in problems), problems


@pytest.mark.parametrize("rows", [lambda rows: rows[:1], lambda rows: [*rows, rows[0]]], ids=["lost", "twice"])
def test_a_source_without_a_row_or_with_two_is_named(store, rows):
    name = f"videos/{tasks(store)[0]}.parquet"
    change_rows(store, name, rows)
    found = [problem for problem in check(store).problems if "is planned in this task and has" in problem]
    assert len(found) == 1
    assert found[0].startswith(f"{name}: /videos/")


@pytest.mark.parametrize("folder", ["clips", "videos"])
def test_an_object_with_a_flipped_byte_is_named(store, folder):
    name = f"{folder}/{tasks(store)[0]}.parquet"
    data = bytearray(store.read(name))
    data[len(data) // 3] ^= 1
    store.write(name, bytes(data))
    problems = check(store).problems
    assert problems
    assert all(problem.startswith(name) for problem in problems)


def test_a_cut_object_a_missing_one_and_one_of_other_columns_are_named(store):
    make_tables(store, num_videos=2, seed=1)
    first, second, third = (f"clips/{task}.parquet" for task in tasks(store))
    store.write(first, store.read(first)[:-100])
    store.delete(second)
    store.write(third, store.read(third.replace("clips", "videos")))
    problems = check(store).problems
    assert len(problems) == 3
    for name, says in ((first, "cannot be read as Parquet"), (second, "is missing"), (third, "columns are missing")):
        assert any(problem.startswith(f"{name}: {says}") for problem in problems), problems


def test_an_object_of_another_model_is_named(store, tmp_path):
    other = Store(str(tmp_path / "other"))
    make_tables(other, model_id="other-model")
    name = f"clips/{tasks(store)[0]}.parquet"
    store.write(name, other.read(name))
    assert only_problem(store).startswith(f"{name}: its schema says model_id = b'other-model'")


def test_a_pending_task_is_a_problem_and_its_clips_are_an_orphan(store):
    task = tasks(store)[0]
    store.delete(f"videos/{task}.parquet")
    report = check(store)
    [problem] = report.problems
    assert problem.startswith(f"videos/{task}.parquet: missing; 2 planned sources, /videos/")
    assert report.pending == 2
    assert report.orphans == [f"clips/{task}.parquet: of a task without a commit; the next extract writes it anew"]


def test_what_an_extraction_is_at_work_on_is_pending_and_no_problem(store):
    with only_driver(store):
        store.delete(f"videos/{tasks(store)[0]}.parquet")
        report = check(store)
    assert (report.ok, report.pending) == (True, 2)
    assert not check(store).ok


def test_of_many_pending_tasks_a_few_are_named_in_one_line(tmp_path):
    store = Store(str(tmp_path / "many"))
    make_tables(store, num_videos=6, videos_per_task=1)
    for task in tasks(store):
        store.delete(f"videos/{task}.parquet")
    [problem] = check(store).problems
    assert problem.count("videos/t") == 3
    assert "and 3 more: missing; 6 planned sources" in problem


def test_orphans_are_listed_and_are_no_problem(store):
    task = tasks(store)[0]
    for name in ("clips/t-unknown.parquet", "videos/t-unknown.parquet"):
        store.write(name, store.read(f"{name.split('/')[0]}/{task}.parquet"))
    store.write("clips/.x.parquet.12.34.part", b"cut")
    store.write("clips/notes.txt", b"mine")
    report = check(store)
    assert report.ok
    assert [line.split(":")[0] for line in report.orphans] == [
        "clips/.x.parquet.12.34.part",
        "clips/notes.txt",
        "clips/t-unknown.parquet",
        "videos/t-unknown.parquet",
    ]


def test_tables_of_which_a_source_was_retried_stay_whole(store):
    first, _ = tasks(store)
    for row in (0, 1):
        quarantine(store, first, row, "timeout")
    retry(RetryConfig(tables=store.root, videos_per_task=1))
    report = check(store)
    [problem] = report.problems
    assert "2 planned sources" in problem
    assert report.orphans == [f"{folder}/{first}.parquet: superseded: all its sources were planned anew"
                              for folder in ("clips", "videos")]  # fmt: skip


def test_tables_whose_plan_is_gone_are_not_ok(store):
    for name in store.names("plan"):
        store.delete(f"plan/{name}")
    problem = only_problem(store)
    assert problem.startswith("plan/ holds no plan, although ")
    assert "run 'reelsift extract' with the same inputs" in problem


def test_a_damaged_plan_is_named_and_nothing_is_said_of_what_it_planned(store):
    make_tables(store, seed=1)
    store.write("plan/part-00000.parquet", store.read("plan/part-00000.parquet")[:50])
    assert only_problem(store).startswith("plan/part-00000.parquet: ")


def test_a_lost_plan_part_and_lost_plan_rows_are_named(store):
    make_tables(store, seed=1)
    change_rows(store, "plan/part-00001.parquet", lambda rows: rows[1:])
    assert any("is not made of the 1 sources" in problem for problem in check(store).problems)
    store.delete("plan/part-00000.parquet")
    assert any(problem.startswith("plan/part-00000.parquet is missing") for problem in check(store).problems)


def test_a_source_that_is_planned_twice_at_once_is_named(store):
    change_rows(store, "plan/part-00000.parquet", lambda rows: [*rows, rows[0]])
    problems = check(store).problems
    assert any(problem.startswith("plan/part-00000.parquet row 4 (/videos/") for problem in problems), problems


def test_no_tables_are_one_line(tmp_path):
    with pytest.raises(StorageError, match="holds no tables"):
        check(Store(str(tmp_path / "none")))


def test_tables_in_an_object_store_are_verified_alike(s3_server, s3_env):
    store = Store(f"s3://{s3_server.bucket}/verify")
    make_tables(store)
    assert check(store).ok
    name = f"clips/{tasks(store)[0]}.parquet"
    store.delete(name)
    assert only_problem(store) == f"{name}: is missing"
