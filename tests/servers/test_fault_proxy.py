"""Objects come and go whole through a store that answers wrongly, late or by halves."""

import os

import pytest

from pipeline.sources import list_sources
from pipeline.stages.fetch import local_copy
from pipeline.storage import Store
from schemas.errors import StorageError
from tests.servers import fault_proxy


@pytest.fixture
def proxy(s3_env, monkeypatch):
    faults = fault_proxy.Faults(busy=0.1, broken=0.05, cut=0.15, slow=0.05, slow_s=0.2)
    monkeypatch.setattr("pipeline.storage._RETRY_WAITS_S", (0.05, 0.1, 0.2))
    monkeypatch.setattr("pipeline.storage._LATE_WAIT_S", 0.2)
    with fault_proxy.running(int(s3_env.endpoint.rpartition(":")[2]), faults) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.endpoint)
        yield running


def test_every_object_is_written_and_fetched_whole(proxy, s3_env):
    store, data = Store(f"s3://{s3_env.bucket}/faults", 60.0), os.urandom(300_000)
    for number in range(20):
        store.write(f"{number}.mp4", data[number:])
    sources = list_sources([f"{store.root}/"])
    assert len(sources) == 20
    for source in sources:
        with local_copy(source.uri, source.etag, 1 << 20) as path, open(path, "rb") as file:
            assert file.read() == data[int(os.path.basename(source.uri).removesuffix(".mp4")) :]
    assert {"503", "500", "cut", "slow"} <= set(proxy.counts)


def test_an_outage_beyond_patience_is_one_line_and_then_over(proxy, s3_env, monkeypatch):
    monkeypatch.setattr("pipeline.storage._RETRY_WITHIN_S", 0.0)
    store = Store(f"s3://{s3_env.bucket}/outage")
    proxy.faults = fault_proxy.Faults(busy=0, broken=0, cut=0, slow=0)
    proxy.outage(3600)
    with pytest.raises(StorageError, match="cannot write s3://") as error:
        store.write("a", b"1")
    assert "\n" not in str(error.value)
    proxy.outage(0)
    store.write("a", b"1")
    assert store.read("a") == b"1"
