import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.synthetic.dataset import make_dataset
from schemas.data_config import DataConfig
from schemas.errors import StorageError, UsageError

SMALL = {"size_px": 32, "min_seconds": 4.0, "max_seconds": 4.5}


def make(out, **settings):
    return make_dataset(DataConfig.of({"out": str(out), "videos": 3, **SMALL, **settings}))


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_captions_point_at_real_files(tmp_path):
    summary = make(tmp_path / "set")

    queries = [json.loads(line) for line in (tmp_path / "set" / "captions.jsonl").read_text().splitlines()]
    assert (summary.videos, summary.made, summary.queries) == (3, 3, 9) == (3, 3, len(queries))
    common = {"video", "uri", "caption", "hard_negative", "group", "start_s", "end_s", "split", "attributes"}
    assert [set(query) - common for query in queries[:3]] == [{"main_frames"}, {"event_frames"}, {"event_frames"}]
    assert all((tmp_path / "set" / query["uri"]).stat().st_size > 1000 for query in queries)
    assert [query["caption"] for query in queries[:2]] == summary.examples


def test_a_rerun_changes_nothing_and_says_so(tmp_path):
    make(tmp_path)
    before = stamps(tmp_path)

    summary = make(tmp_path)

    assert (summary.made, summary.kept) == (0, 3)
    assert stamps(tmp_path) == before


def test_two_folders_of_one_seed_are_equal_to_the_byte(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "b")

    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_processes_make_what_one_process_makes(tmp_path):
    make(tmp_path / "one", videos=10, workers=1)
    make(tmp_path / "two", videos=10, workers=2)

    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_lost_video_and_a_half_written_one_are_mended(tmp_path):
    make(tmp_path)
    before = contents(tmp_path)
    (tmp_path / "videos" / "000002.mp4").unlink()
    (tmp_path / "videos" / ".000002.mp4.77.part").write_bytes(b"half")

    summary = make(tmp_path)

    assert (summary.made, summary.kept) == (1, 2)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"seed": 9}, "seed=0, not seed=9"), ({"videos": 4}, "videos=3, not videos=4"), ({"fps": 24}, "fps=12")],
)
def test_other_settings_in_the_same_folder_are_refused_by_name(tmp_path, settings, named):
    make(tmp_path)
    before = stamps(tmp_path)

    with pytest.raises(UsageError, match=named):
        make(tmp_path, **settings)
    assert stamps(tmp_path) == before


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "holiday.mp4").write_bytes(b"mine")

    with pytest.raises(UsageError, match=r"holds 'holiday\.mp4'"):
        make(tmp_path)
    assert contents(tmp_path) == {"holiday.mp4": b"mine"}


def test_places_that_cannot_be_a_folder_are_refused(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="a file is in the way"):
        make(tmp_path / "file")
    with pytest.raises(UsageError, match="local folder"):
        make_dataset(DataConfig(out="s3://bucket/set"))
    with pytest.raises(StorageError, match="cannot make the folder"):
        make("/proc/none")


def test_two_runs_do_not_meet_in_one_folder(tmp_path):
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(UsageError, match="another run"):
            make(tmp_path)
    finally:
        os.close(handle)
    assert make(tmp_path).made == 3


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    settings = {"videos": 40, "workers": 2}
    flags = [f"--set={key}={value}" for key, value in {**SMALL, **settings}.items()]
    command = [sys.executable, "-m", "jobs.data", "make", "--out", str(tmp_path / "killed"), *flags]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    videos = tmp_path / "killed" / "videos"
    while process.poll() is None and len(list(videos.glob("*.mp4"))) < 6:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "captions.jsonl").exists()
    # Its workers see that it is gone and end; they are alone in its session.
    deadline = time.monotonic() + 30
    while _alive(process.pid):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.02)

    summary = make(tmp_path / "killed", **settings)
    make(tmp_path / "whole", **settings)

    assert summary.kept >= 6
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def _alive(group):
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(process_group) == group and state != "Z":
            return True
    return False


def test_captions_of_an_older_release_are_written_anew(tmp_path):
    make(tmp_path)
    captions = tmp_path / "captions.jsonl"
    wanted = captions.read_bytes()
    captions.write_text("".join(line.replace("event_frames", "old") for line in captions.read_text().splitlines(True)))

    assert make(tmp_path).made == 0
    assert captions.read_bytes() == wanted
