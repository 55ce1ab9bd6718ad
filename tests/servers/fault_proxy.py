"""A loopback HTTP proxy before a server that behaves as object stores do on a bad day, by a seeded draw a request.

One request a connection: it asks the server to close after each answer, and so never needs to know where one ends.
"""

import asyncio
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.servers.process import LOOPBACK

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nconnection: [^\r]*", re.IGNORECASE)
_CHUNK = 1 << 16
_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>try again</Message></Error>'
_CODES = {"503": ("503 Service Unavailable", "SlowDown"), "500": ("500 Internal Server Error", "InternalError")}


@dataclass(frozen=True)
class Faults:
    """Shares of requests; the rest passes untouched.

    Attributes:
        busy: answered 503 SlowDown.
        broken: answered 500.
        cut: the answer's body, or for an upload the request's, ends half way.
        slow: the answer's body takes `slow_s`.
        silent: the server is asked, and the answer kept back until the client gives up, or `silent_s`.
        slow_s: seconds.
        silent_s: seconds.
    """

    busy: float = 0.05
    broken: float = 0.01
    cut: float = 0.01
    slow: float = 0.01
    silent: float = 0.0
    slow_s: float = 2.0
    silent_s: float = 60.0

    def draw(self, rng: random.Random) -> str:
        """The name of a fault, or "" for none."""
        at = rng.random()
        for name, share in (
            ("503", self.busy), ("500", self.broken), ("cut", self.cut), ("slow", self.slow), ("silent", self.silent)
        ):  # fmt: skip
            if at < share:
                return name
            at -= share
        return ""


@dataclass
class FaultProxy:
    """A running proxy.

    Attributes:
        port: where it listens on loopback.
        counts: requests by what was done to them; "" passed.
    """

    upstream_port: int
    faults: Faults
    seed: int = 0
    port: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    _out_until: float = 0.0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    @property
    def endpoint(self) -> str:
        """What a client is told."""
        return f"http://{LOOPBACK}:{self.port}"

    def outage(self, seconds: float) -> None:
        """From now on, for so long, close each connection without a word."""
        self._out_until = time.monotonic() + seconds

    async def serve(self, started: threading.Event) -> None:
        """Listen until cancelled."""
        server = await asyncio.start_server(self._handle, LOOPBACK, 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        async with server:
            await server.serve_forever()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                head = await reader.readuntil(b"\r\n\r\n")
                fault = "outage" if time.monotonic() < self._out_until else self.faults.draw(self._rng)
                self.counts[fault] += 1
                if fault != "outage":
                    await self._answer(fault, head, reader, writer)
        finally:
            writer.close()

    async def _answer(
        self, fault: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        found = _LENGTH.search(head)
        body = await reader.readexactly(int(found[1])) if found else b""
        if fault in _CODES:
            writer.write(_error(*_CODES[fault]))
            await writer.drain()
            return
        upstream_reader, upstream = await asyncio.open_connection(LOOPBACK, self.upstream_port)
        try:
            upstream.write(_CONNECTION.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n")
            upstream.write(body[: len(body) // 2] if fault == "cut" else body)
            await upstream.drain()
            if fault == "cut" and body:
                return
            await self._relay(fault, upstream_reader, writer)
        finally:
            upstream.close()

    async def _relay(self, fault: str, source: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await source.readuntil(b"\r\n\r\n")
        found = _LENGTH.search(head)
        left = int(found[1]) if found else 1 << 62
        if fault == "silent":
            await asyncio.sleep(self.faults.silent_s)
        if fault == "cut":
            left //= 2
        writer.write(head)
        if fault == "slow":
            await writer.drain()
            await asyncio.sleep(self.faults.slow_s)
        while left and (part := await source.read(min(_CHUNK, left))):
            writer.write(part)
            await writer.drain()
            left -= len(part)


def _error(status: str, code: str) -> bytes:
    body = _ERROR.format(code=code).encode()
    lines = (f"HTTP/1.1 {status}", "Content-Type: application/xml", f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join((*lines, "", "")).encode() + body


@contextmanager
def running(upstream_port: int, faults: Faults, seed: int = 0) -> Iterator[FaultProxy]:
    """A proxy before a port of this machine, in a thread of its own, ended with the context."""
    proxy, started = FaultProxy(upstream_port, faults, seed), threading.Event()
    loop = asyncio.new_event_loop()
    task = loop.create_task(proxy.serve(started))

    def work() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the fault proxy did not start")
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
