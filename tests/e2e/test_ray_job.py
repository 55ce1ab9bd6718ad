"""The job as a data engineer submits it to a running cluster."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.e2e.cli import ROOT
from tests.e2e.tables_view import TablesView
from tests.media import make_video
from tests.servers import ray_head


@pytest.fixture(scope="module")
def head():
    # Not under pytest's own folder: unix sockets allow 107 bytes of path.
    with tempfile.TemporaryDirectory(prefix="r") as folder, ray_head.running(Path(folder)) as running:
        yield running


def submit(head, *args):
    argv = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "job",
        "submit",
        "--address",
        head.dashboard,
        "--working-dir",
        ".",
    ]
    entry = [sys.executable, "-m", "jobs.extract", *map(str, args)]
    return subprocess.run(
        [*argv, "--", *entry],
        cwd=ROOT,
        env=os.environ | head.env,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_a_submitted_job_does_the_same_work_and_its_exit_code_comes_back(head, tmp_path):
    videos, tables = tmp_path / "videos", tmp_path / "tables"
    videos.mkdir()
    make_video(videos / "a.mp4", seed=1)
    make_video(videos / "b.mkv", seed=2)
    (videos / "c.mp4").write_bytes(b"no video")
    good = submit(head, "--input", videos, "--tables", tables, "--max-bad-fraction", "0.5")
    assert good.returncode == 0, good.stdout + good.stderr
    view = TablesView(tables)
    assert {name: status for name, (status, _) in view.statuses().items()} == {
        "a.mp4": "done",
        "b.mkv": "done",
        "c.mp4": "quarantined",
    }
    assert len(view.clips()) == 2
    bad = submit(head, "--input", tmp_path / "nowhere", "--tables", tables)
    assert bad.returncode != 0
    assert "no such file or folder" in bad.stdout + bad.stderr
