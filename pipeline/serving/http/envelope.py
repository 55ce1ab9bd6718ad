"""The outermost ASGI layer: a request id on each answer, a bounded body, and no error that escapes."""

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any, TypeVar

from pipeline.serving.errors import INTERNAL, Failure, failure

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 64 << 10
# As many texts as a batch may have, each character as an escape of six bytes, and a filter beside them.
MAX_BATCH_BODY_BYTES = 1 << 20
# So much more is read and dropped, so that an ordinary client has sent all and gets to read the answer.
_DRAIN_BYTES = 8 << 20
# What is left of a body that is not read must not be taken for the next request.
_CLOSE = {"connection": "close"}
# Half a body holds a connection and its memory; the largest comes within this over a slow line.
_BODY_WAIT_S = 20.0
_TOO_SLOW = failure(408, "body_timeout", f"the body did not come within {_BODY_WAIT_S:.0f} s: send it whole", "body")
_NONE: Mapping[str, str] = {}
_T = TypeVar("_T")
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
logger = logging.getLogger("reelsift.serving")


class ClientGoneError(Exception):
    """The client hung up before its request was complete."""


def request_id(scope: Scope) -> str:
    """The caller's X-Request-Id if it is sane, else a new one.

    >>> request_id({"headers": [(b"x-request-id", b"abc-1")]})
    'abc-1'
    >>> len(request_id({"headers": [(b"x-request-id", b"two words")]}))
    32
    """
    for name, value in scope.get("headers", ()):
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value.decode("ascii"))
    return uuid.uuid4().hex


def internal_failure(identity: str) -> Failure:
    """The answer for what no one foresaw; the log has the rest."""
    return failure(500, INTERNAL, f"internal error: the server's log has it under request id {identity}")


def body_limit(path: str) -> int:
    """The most bytes that a body may have.

    >>> body_limit("/v1/search")
    65536
    """
    return MAX_BATCH_BODY_BYTES if path == "/v1/search:batch" else MAX_BODY_BYTES


def _too_large(limit: int) -> Failure:
    return failure(413, "body_too_large", f"the body is larger than {limit} bytes: shorten it", "body")


class Envelope:
    """Wraps an ASGI application.

    Args:
        app: what answers.
        sets_request_id: whether to add X-Request-Id to answers; Ray Serve's proxy does it by itself.
    """

    def __init__(self, app: App, *, sets_request_id: bool = True) -> None:
        self._app = app
        self._sets_request_id = sets_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other events, such as those of the lifespan, pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = request_id(scope)
        answer = _Answer(send, identity if self._sets_request_id else None)
        scope.setdefault("state", {})["request_id"] = identity
        try:
            limit = body_limit(scope["path"])
            try:
                body = await _within(read_body(scope, receive, limit))
            except TimeoutError:
                await answer.fail(_TOO_SLOW, _CLOSE)
                return
            if body is None:
                await answer.fail(_too_large(limit), _CLOSE)
            else:
                await self._app(scope, _replay(body, receive), answer.send)
        except ClientGoneError:
            return
        except Exception:
            logger.exception("request %s failed", identity)
            if not answer.started:
                await answer.fail(internal_failure(identity))


class _Answer:
    def __init__(self, send: Send, identity: str | None) -> None:
        self._send = send
        self._identity = identity
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self._identity is not None:
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._identity.encode("ascii"))]
        await self._send(message)

    async def fail(self, what: Failure, more: Mapping[str, str] = _NONE) -> None:
        body = what.body()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **what.headers(), **more}
        pairs = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": what.status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": body})


async def _within(work: Coroutine[Any, Any, _T]) -> _T:
    async with asyncio.timeout(_BODY_WAIT_S):
        return await work


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """The whole body, or None when it is over the limit, in bytes.

    Raises:
        ClientGoneError: the client hung up.
    """
    declared = dict(scope.get("headers", ())).get(b"content-length", b"0")
    over = declared.isdigit() and int(declared) > limit
    if over and int(declared) > _DRAIN_BYTES:
        return None  # it would not be read to its end anyway
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        over = over or size > limit
        if over:
            parts.clear()
            if size > _DRAIN_BYTES:
                return None
        else:
            parts.append(part)
        more = message.get("more_body", False)
    return None if over else b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
