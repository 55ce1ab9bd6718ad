"""The HTTP server of an ingress replica: it answers on the port itself, without a proxy in front.

Ray Serve's proxy costs each request some milliseconds and a share of a core, and answers in its own words when a
replica dies. Several replicas share one port; the kernel divides connections among those that live.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn

from pipeline.serving.http.accepting import Accepting
from pipeline.serving.http.envelope import App
from pipeline.serving.http.head_limits import HeadLimits

_KEEP_ALIVE_S: Final = 75
_BACKLOG: Final = 1024
_POLL_S: Final = 0.01


class Listener:
    """Serves an ASGI application from the event loop that starts it.

    Args:
        app: the application; its lifespan is run.
        host: address to listen on.
        port: of it.
        grace_s: how long requests under way may take once it is told to end.
    """

    def __init__(self, app: App, host: str, port: int, grace_s: int) -> None:
        self._address = host, port
        config = uvicorn.Config(
            app,
            http=HeadLimits,
            lifespan="on",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=grace_s,
        )
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None
        self._accepting: Accepting | None = None

    async def start(self) -> None:
        """Listen; returns when connections are taken.

        Raises:
            OSError: the address cannot be listened on.
            RuntimeError: the application does not start.
        """
        opened = shared_socket(*self._address)
        self._accepting = Accepting(opened, self._server.protocol)
        # None of its own: those that wait are taken together.
        self._serving = asyncio.create_task(self._server.serve(sockets=[]))
        while not self._server.started:
            if self._serving.done():
                self._accepting.stop()
                await self._serving
            await asyncio.sleep(_POLL_S)
        self._accepting.start()

    def check(self) -> None:
        """Prove that it serves.

        Raises:
            RuntimeError: it does not.
        """
        if self._serving is None or self._serving.done():
            raise RuntimeError("the HTTP server has ended")

    async def stop(self) -> None:
        """Take no more connections, and end when the requests under way have."""
        if self._accepting is not None:
            self._accepting.stop()
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


class _Server(uvicorn.Server):
    def protocol(self) -> asyncio.Protocol:
        """What speaks HTTP on one connection."""
        return HeadLimits(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process, which is not its own."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; one that cannot must not end the process, which is not its own."""
        try:
            await super().startup(sockets)
        except SystemExit:
            raise RuntimeError("the HTTP server does not start: see the log") from None


def shared_socket(host: str, port: int) -> socket.socket:
    """A listening socket whose port other processes of ours may listen on as well.

    Raises:
        OSError: the address cannot be listened on.
    """
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    opened = socket.socket(family, kind, proto)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(address)
        opened.listen(_BACKLOG)
    except BaseException:
        opened.close()
        raise
    opened.setblocking(False)
    return opened
