"""An ASGI application on a port of loopback, in a thread of this process."""

import threading
import time
from contextlib import contextmanager

import uvicorn

from tests.servers.process import free_ports

START_S = 60


@contextmanager
def running(app):
    """The application's address."""
    [port] = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + START_S
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
