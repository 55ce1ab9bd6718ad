import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipeline import cluster
from schemas.errors import ReelsiftError, TerminatedError


@pytest.mark.parametrize(("env", "address"), [(None, "local"), ("auto", "auto")])
def test_only_a_cluster_that_is_named_is_joined(monkeypatch, env, address):
    asked = {}

    def init(**settings):
        asked.update(settings)
        raise RuntimeError("enough seen")

    monkeypatch.setattr(cluster.ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if env:
        monkeypatch.setenv("RAY_ADDRESS", env)
    with pytest.raises(ReelsiftError, match="enough seen"):
        cluster.connect()
    assert asked["address"] == address
    assert ("num_cpus" in asked) == (env is None)


@pytest.mark.parametrize(("env", "starts"), [(None, 3), ("auto", 1)])
def test_a_start_that_took_too_long_is_ended_and_tried_again(monkeypatch, env, starts):
    begun = []

    def init(**settings):
        begun.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(cluster.ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if env:
        monkeypatch.setenv("RAY_ADDRESS", env)
    try:
        with pytest.raises(ReelsiftError, match="timed out during startup"):
            cluster.connect()
        assert len(begun) == starts
        for late in begun:
            assert late.wait(30) < 0
    finally:
        for late in begun:
            late.kill()
            late.wait(30)


def test_sigterm_while_ray_starts_ends_as_at_any_other_time(monkeypatch):
    def init(**settings):
        raise SystemExit(signal.SIGTERM)

    monkeypatch.setattr(cluster.ray, "init", init)
    with pytest.raises(TerminatedError):
        cluster.connect()


def test_what_an_interrupted_start_leaves_is_ended(monkeypatch, tmp_path):
    note = tmp_path / "pid"

    def init(**settings):
        # Its parent ends, as a raylet does whose agents go on.
        subprocess.run(["sh", "-c", f"sleep 600 & echo $! > {note}"], check=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster.ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(KeyboardInterrupt):
        cluster.connect()
    left = int(note.read_text())
    ended = [psutil.STATUS_ZOMBIE, None]
    end = time.monotonic() + 30
    while (state := _state(left)) not in ended and time.monotonic() < end:
        time.sleep(0.05)
    assert state in ended
    assert "REELSIFT_LOCAL_RAY" not in os.environ


def _state(pid):
    try:
        return psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return None
