import subprocess
import sys

import pytest

from pipeline import cluster
from schemas.errors import ReelsiftError


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
        for late in begun[:-1]:
            assert late.wait(30) < 0
    finally:
        for late in begun:
            late.kill()
            late.wait(30)
