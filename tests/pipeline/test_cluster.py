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
