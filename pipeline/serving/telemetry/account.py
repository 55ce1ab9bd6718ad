"""What is kept of each request, whichever way it came: figures, a line in the log and, where asked for, a trace."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.serving.telemetry.metrics import Metrics
from pipeline.serving.telemetry.request_log import RequestLog
from pipeline.serving.telemetry.request_notes import begin_notes
from pipeline.serving.telemetry.tracing import Tracer

_TRACE_HEADERS = (b"traceparent", b"tracestate")
# The client hung up before there was an answer; nginx has the same number for it.
_CLIENT_GONE = 499


@dataclass
class Facts:
    """What is known of a request from outside; filled in until it ends.

    Attributes:
        request_id: of it.
        method: of HTTP, or GRPC.
        path: the template of it, never what a caller made up: each one is kept for ever.
        status: of HTTP.
        headers: names in lower case, and values.
    """

    request_id: str = ""
    method: str = ""
    path: str = ""
    status: int = _CLIENT_GONE
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Account:
    """Keeps account of requests.

    Attributes:
        metrics: figures.
        log: lines.
        tracer: traces.
    """

    metrics: Metrics
    log: RequestLog
    tracer: Tracer

    @contextlib.contextmanager
    def request(self) -> Iterator[Facts]:
        """Made around the answering of one request, which fills in the facts."""
        facts = Facts()
        notes, start_ns, start = begin_notes(), time.time_ns(), time.perf_counter()
        self.metrics.in_flight.inc()
        try:
            yield facts
        finally:
            self.metrics.in_flight.dec()
            spent_s = time.perf_counter() - start
            self.metrics.answered(facts.path, facts.method, facts.status, spent_s)
            known = {"request_id": facts.request_id, "method": facts.method, "path": facts.path, "status": facts.status}
            headers = {
                name.decode(): value.decode("latin-1") for name, value in facts.headers if name in _TRACE_HEADERS
            }
            trace_id = self.tracer.record(known, notes, headers, start_ns, start_ns + int(spent_s * 1e9))
            self.log.write(known | {"ms": round(spent_s * 1000, 3)}, notes, trace_id)
