"""An ASGI application on a port of loopback, in a thread of this process."""

import threading
import time
from contextlib import contextmanager

import uvicorn

from tests.servers.process import free_ports

START_S = 60
# A browser may leave a video half read, and its connection open for as long as it likes.
GRACE_S = 5


@contextmanager
def running(app):
    """The application's address."""
    [port] = free_ports(1)
    config = uvicorn.Config(app, "127.0.0.1", port, log_level="error", lifespan="on", timeout_graceful_shutdown=GRACE_S)
    server = uvicorn.Server(config)
    # One that does not end must fail its test, not keep the whole run from ending.
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + START_S
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive(), "the server does not end"
