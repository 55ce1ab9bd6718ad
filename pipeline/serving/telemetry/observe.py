"""The outermost ASGI layer: each request is counted, gets its line in the log and, where asked for, its trace."""

import time
from typing import Any

from pipeline.serving.http.envelope import App, Message, Receive, Scope, Send
from pipeline.serving.telemetry.metrics import Metrics
from pipeline.serving.telemetry.request_log import RequestLog
from pipeline.serving.telemetry.request_notes import begin_notes
from pipeline.serving.telemetry.tracing import Tracer

_TRACE_HEADERS = (b"traceparent", b"tracestate")
_NO_ROUTE = "other"
# The client hung up before there was an answer; nginx has the same number for it.
_CLIENT_GONE = 499


class Observe:
    """Keeps account of requests.

    Args:
        app: what answers.
        metrics: figures.
        log: lines.
        tracer: traces.
    """

    def __init__(self, app: App, metrics: Metrics, log: RequestLog, tracer: Tracer) -> None:
        self._app = app
        self._metrics = metrics
        self._log = log
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other events pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = _CLIENT_GONE

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        notes, start_ns, start = begin_notes(), time.time_ns(), time.perf_counter()
        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.in_flight.dec()
            spent_s = time.perf_counter() - start
            path, method = route_of(scope), scope["method"]
            self._metrics.answered(path, known_method(method), status, spent_s)
            facts = {"request_id": scope.get("state", {}).get("request_id", ""), "method": method, "path": path}
            facts |= {"status": status}
            headers = {k.decode(): v.decode("latin-1") for k, v in scope.get("headers", ()) if k in _TRACE_HEADERS}
            trace_id = self._tracer.record(facts, notes, headers, start_ns, start_ns + int(spent_s * 1e9))
            self._log.write(facts | {"ms": round(spent_s * 1000, 3)}, notes, trace_id)


def route_of(scope: Scope) -> str:
    """The template of the path that answered, such as /v1/clips/{clip_id}; "other" where none did.

    >>> route_of({"path": "/wp-login.php"})
    'other'
    """
    route: Any = scope.get("route")
    return str(getattr(route, "path", _NO_ROUTE))


def known_method(method: str) -> str:
    """The method, where it is one that is answered.

    >>> known_method("GET"), known_method("X-MADE-UP")
    ('GET', 'other')
    """
    return method if method in {"GET", "HEAD", "POST", "OPTIONS"} else "other"
