"""Limits on the head of a request, its first line and headers: uvicorn alone waits for ever, and takes any size."""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_WAIT_S: Final = 20.0
# As h11 and most servers have it.
MAX_HEAD_BYTES: Final = 64 << 10


class HeadLimits(HttpToolsProtocol):
    """A connection that is closed when a head, begun or not, is not whole within a time and a size.

    Both are below the application: no access log, no figure and no body tell of them.
    """

    _timer: asyncio.TimerHandle | None = None
    _has_begun = False
    # Of a head that has begun; what came with its first bytes may be the end of another request.
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first request may come."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came: of a head, a body, or both."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._timer is not None and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """The first byte of a request came."""
        super().on_message_begin()
        self._has_begun, self._head_bytes = True, 0
        if self._timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._forget_head()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(HEAD_WAIT_S, self._refuse, b"408 Request Timeout")

    def _forget_head(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._has_begun = None, False

    def _refuse(self, status: bytes) -> None:
        has_begun = self._has_begun
        self._forget_head()
        if has_begun:
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()
