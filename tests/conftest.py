"""Fixtures that more than one folder needs: a real S3 server and a real Milvus server, one of each a test run."""

import os

import pytest

from tests.run_watch import RunWatch

_MILVUS = pytest.StashKey()

# Here, before any library counts the cores: the tests run many processes on few cores, and there the threads of two
# linear algebra libraries in each wait for one another longer than they compute.
for _library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
# Ray gives way to everything else by default (15), also to the other half of the tests, which waits for it at the end.
os.environ.setdefault("RAY_worker_niceness", "0")


def pytest_configure(config):
    """Watch the run from the process that prints; the workers that run the tests print nothing."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(RunWatch(), "run_watch")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """A real S3 server with one bucket: `.endpoint`, `.bucket`, `.access_key`, `.secret_key`, `.env()`, `.client()`."""
    from tests.servers import s3

    with s3.running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_env(s3_server, monkeypatch):
    """Lead this test's S3 clients, and the processes it starts, to the S3 server; yields that server."""
    # A profile or session token of the person who runs the tests must not get in between.
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.env().items():
        monkeypatch.setenv(name, value)
    # fsspec keeps file systems by their arguments, not by the environment they were made in.
    _forget_s3_clients()
    yield s3_server
    _forget_s3_clients()


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory, request):
    """The URI of a real Milvus server. Tests share it: each uses collection names of its own."""
    from tests.servers import milvus

    with milvus.running(tmp_path_factory.mktemp("milvus")) as server:
        request.config.stash[_MILVUS] = server
        yield server.uri
        del request.config.stash[_MILVUS]


@pytest.fixture(autouse=True)
def _milvus_lives(request):
    """One server that ends by itself must not cost every later test its waits."""
    if _MILVUS in request.config.stash:
        request.config.stash[_MILVUS].start_empty_if_dead()


def _forget_s3_clients():
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
