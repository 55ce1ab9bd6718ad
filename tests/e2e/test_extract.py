"""reelsift extract as a user runs it, over real files, a real S3 server and a real Ray."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import duckdb
import numpy as np
import pytest

from schemas.config import DEFAULT_MODEL
from schemas.run_report import RunReport
from tests.e2e.cli import ROOT, command, run
from tests.e2e.tables_view import TablesView, assert_same_clips
from tests.media import make_hostile_folder, make_scenes, make_video


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("e2e") / "videos"
    return folder, make_hostile_folder(folder)


@pytest.fixture(scope="module")
def extracted(hostile, tmp_path_factory):
    folder, truth = hostile
    tables = tmp_path_factory.mktemp("tables") / "out"
    ran = run("extract", "--input", folder, "--tables", tables, "--json")
    return folder, truth, tables, ran


def assert_true_statuses(view, truth):
    found = view.statuses()
    assert found.keys() == truth.keys()
    for name, (status, reasons) in truth.items():
        assert found[name][0] == status, (name, found[name])
        assert found[name][1] in (reasons or {None}), (name, found[name])


def test_every_file_is_accounted_for_once_with_its_true_status(extracted):
    _, truth, tables, ran = extracted
    assert ran.code == 3, ran.err  # more than a tenth is quarantined
    view = TablesView(tables)
    assert_true_statuses(view, truth)
    done = {row["video_id"] for row in view.rows("videos") if row["status"] == "done"}
    assert {row["video_id"] for row in view.clips().values()} == done
    summary = ran.json
    counts = (summary["planned"], summary["processed"], summary["done"], summary["filtered"], summary["quarantined"])
    assert counts == (10, 10, 5, 1, 4)
    assert summary["clips"] == 5
    assert summary["peak_rss_bytes"] > 100 << 20


def test_stored_vectors_are_finite_unit_vectors_and_padding_is_zero(extracted):
    *_, tables, _ = extracted
    for row in TablesView(tables).clips().values():
        mask = np.array(row["mask"], bool)
        assert mask.sum() == len(row["frame_times_s"]) >= 1
        assert np.linalg.norm(row["coarse"]) == pytest.approx(1, abs=1e-3)
        for name, shape in (("frames", (12, 128)), ("temporal_frames", (12, 128)), ("patches", (12, 16, 128))):
            tokens = np.frombuffer(row[name], np.float16).reshape(shape).astype(np.float32)
            norms = np.linalg.norm(tokens, axis=-1)
            np.testing.assert_allclose(norms[mask], 1, atol=2e-3)
            assert not norms[~mask].any()


def test_a_second_run_decodes_nothing_and_changes_no_byte(extracted):
    folder, _, tables, _ = extracted
    before = TablesView(tables).digests()
    again = run("extract", "--input", folder, "--tables", tables, "--json")
    assert again.code == 3
    assert again.json["processed"] == 0
    assert again.json["done"] == 5
    assert TablesView(tables).digests() == before


def test_the_account_of_a_run_tells_what_the_tables_tell(extracted):
    *_, tables, ran = extracted
    (name,) = (tables / "runs").glob("*.json")
    report = RunReport.model_validate_json(name.read_bytes())
    summary = ran.json
    assert (report.done, report.filtered, report.quarantined, report.failed_tasks, report.error) == (5, 1, 4, 0, "")
    assert report.reasons == summary["reasons"]
    assert sum(report.sources_a_stretch) == summary["processed"]
    assert [stage.stage for stage in report.stages] == ["decode", "encode", "commit"]
    assert all(stage.busy_s > 0 and 0 < stage.occupancy <= 1 for stage in report.stages)
    assert {file.uri.rsplit("/", 1)[-1] for file in report.slowest} <= TablesView(tables).statuses().keys()
    page = name.with_suffix(".html").read_text()
    for text in (report.run_id, *report.reasons, report.slowest[0].uri):
        assert text in page
    assert "http" not in page.replace("http://www.w3.org/", "")  # it opens without a network


def test_a_new_file_is_added_and_a_changed_one_replaces_its_clips(tmp_path):
    """With every setting that is not the default: clips a scene, near key frames, files known by their bytes."""
    videos, tables = tmp_path / "videos", tmp_path / "tables"
    videos.mkdir()
    settings = ("--clips", "scenes", "--sampling", "fast", "--identity", "content")
    args = ("--input", videos, "--tables", tables, *settings, "--json")
    make_scenes(videos / "a.mp4", [(200, 30, 30), (20, 60, 220)])
    first = run("extract", *args)
    assert first.code == 0, first.err
    old = _spans(tables, "a.mp4")
    assert [span[:2] for span in old] == [(0.0, 2.0), (2.0, 4.0)]
    make_video(videos / "b.mp4", seed=2)
    shutil.copy(videos / "a.mp4", videos / "moved.mp4")
    second = run("extract", *args)
    assert _spans(tables, "moved.mp4") == old  # to the last bit, since it is a copy
    make_video(videos / "a.mp4", seed=3, num_frames=36)
    third = run("extract", *args)
    assert [ran.json["processed"] for ran in (first, second, third)] == [1, 2, 1]
    assert (third.json["planned"], third.json["done"], third.json["clips"]) == (3, 3, 4)
    decoded = [row for row in TablesView(tables).rows("videos") if not row["uri"].endswith("/moved.mp4")]
    assert {row["decoder_why"] for row in decoded} == {"fast sampling"}
    assert json.loads((tables / "extract.json").read_text())["sampler"] == "uniform-segment-12-fast"


def _spans(tables, name):
    rows = [row for row in TablesView(tables).clips().values() if row["uri"].endswith(f"/{name}")]
    return sorted((row["start_s"], row["end_s"], tuple(row["coarse"]), row["patches"]) for row in rows)


def test_other_engines_read_the_tables_without_our_code(extracted):
    *_, tables, _ = extracted
    query = f"SELECT status, count(*) FROM '{tables}/videos/*.parquet' GROUP BY status ORDER BY status"
    assert duckdb.sql(query).fetchall() == [("done", 5), ("filtered", 1), ("quarantined", 4)]
    query = f"SELECT clip_id, len(coarse), octet_length(patches) FROM '{tables}/clips/*.parquet'"
    assert {row[1:] for row in duckdb.sql(query).fetchall()} == {(128, 12 * 16 * 128 * 2)}


def test_s3_in_and_out_gives_the_same_tables(hostile, extracted, s3_server, s3_env):
    folder, truth, local_tables, _ = *hostile, *extracted[2:]
    view = TablesView(f"s3://{s3_server.bucket}/tables")
    for path in folder.iterdir():
        view.fs.put_file(str(path), f"{s3_server.bucket}/in/{path.name}")
    args = ("--input", f"s3://{s3_server.bucket}/in/", "--tables", view.root, "--json")
    ran = run("extract", *args)
    assert ran.code == 3, ran.err
    assert_true_statuses(view, truth)
    before = view.digests()
    again = run("extract", *args)
    assert again.json["processed"] == 0
    assert view.digests() == before

    def by_name(rows):
        return {row["uri"].rsplit("/", 1)[-1]: row["coarse"] for row in rows}

    a, b = by_name(view.clips().values()), by_name(TablesView(local_tables).clips().values())
    assert a.keys() == b.keys()
    for name, vector in a.items():
        np.testing.assert_allclose(vector, b[name], atol=1e-3)


def test_killed_at_any_moment_a_rerun_ends_as_if_undisturbed(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(8):
        make_video(videos / f"{number}.mp4", seed=number)
    (videos / "bad.mp4").write_bytes(b"nothing")
    args = ("--input", videos, "--json", "--set", "videos_per_task=1", "--max-bad-fraction", "1")
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    start = time.monotonic()
    assert run("extract", *args, "--tables", calm).code == 0
    whole_s = time.monotonic() - start
    # Two kills early and late, and one as soon as some tasks, but not all, are committed.
    moments = [random.Random(4).uniform(0.1, 0.6) * whole_s, "half", 0.9 * whole_s]
    for moment in moments:
        _kill_extract(command("extract", *args, "--tables", rough), moment, rough)
    assert run("extract", *args, "--tables", rough).code == 0
    a, b = TablesView(calm), TablesView(rough)
    assert_same_clips(a.clips(), b.clips())
    assert a.statuses() == b.statuses()
    assert {row["task_id"] for row in a.rows("plan")} == {row["task_id"] for row in b.rows("plan")}
    assert not [name for name in b.digests() if ".part" in name]


def _kill_extract(argv, moment, tables):
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        deadline = time.monotonic() + 120
        while driver.poll() is None and time.monotonic() < deadline:
            committed = len(list((tables / "videos").glob("*.parquet"))) if (tables / "videos").exists() else 0
            if moment == "half" and committed >= 3:
                break
            if moment != "half" and time.monotonic() > deadline - 120 + moment:
                break
            time.sleep(0.05)
        if driver.poll() is None:
            os.kill(driver.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--tables", "T"], 2, ["'input' is missing"]),
        (["--input", "V"], 2, ["'tables' is missing"]),
        (["--input", "/no/such/folder", "--tables", "T"], 1, ["no such file", "/no/such/folder"]),
        (["--input", "V", "--tables", "T", "--model", "nope"], 2, ["'nope'", "random-tiny"]),
        (["--input", "V", "--tables", "T", "--clips", "fixed:-1"], 2, ["fixed:SECONDS"]),
        (["--input", "V", "--tables", "/proc/nope/x"], 1, ["/proc/nope/x"]),
        (["--input", "gopher://x/y", "--tables", "T"], 2, ["gopher"]),
    ],
)
def test_wrong_use_is_one_line(args, code, says, tmp_path):
    make_video(tmp_path / "V.mp4")
    places = {"V": str(tmp_path / "V.mp4"), "T": str(tmp_path / "tables")}
    run("extract", *[places.get(arg, arg) for arg in args]).assert_one_line_error(code, *says)
    assert not (tmp_path / "tables").exists()


def test_tables_of_another_model_clip_rule_or_garbage_are_refused(extracted, tmp_path):
    folder, _, tables, _ = extracted
    copy = tmp_path / "tables"
    shutil.copytree(tables, copy)
    before = TablesView(copy).digests()
    info = copy / "extract.json"
    args = ("--input", folder, "--tables", copy)
    run("extract", *args, "--clips", "fixed:1").assert_one_line_error(2, "clips = whole", "fixed:1")
    text = info.read_text()
    info.write_text(text.replace(f"{DEFAULT_MODEL}-", "other-model-"))
    run("extract", *args).assert_one_line_error(2, "other-model-", f"{DEFAULT_MODEL}-")
    info.write_text("{")
    run("extract", *args).assert_one_line_error(1, "extract.json is damaged")
    info.write_text(text)
    assert TablesView(copy).digests() == before


def test_s3_faults_are_one_line(s3_server, s3_env, tmp_path, monkeypatch):
    video = make_video(tmp_path / "a.mp4")
    run("extract", "--input", "s3://no-such-bucket-here/x", "--tables", tmp_path / "t").assert_one_line_error(
        1, "no-such-bucket"
    )
    run("extract", "--input", video, "--tables", "s3://no-such-bucket-here/t").assert_one_line_error(
        1, "no-such-bucket"
    )
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    run("extract", "--input", f"s3://{s3_server.bucket}/in", "--tables", tmp_path / "t").assert_one_line_error(
        1, s3_server.bucket
    )
    assert not (tmp_path / "t").exists()
