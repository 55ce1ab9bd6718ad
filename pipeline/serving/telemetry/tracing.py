"""OpenTelemetry traces, where a collector is named: a span for each request, and one for each of its stages."""

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from pipeline.serving.telemetry.request_notes import RequestNotes
from schemas.errors import ConfigError

# In this order they follow each other; what else stands in timings_ms is a part of one of these, or all of them.
_STAGES = ("encode", "recall", "read", "score", "explain")
_DELAY_MS = 1000
_SERVER_ERROR = 500


class Tracer(Protocol):
    """Takes note of requests that have been answered."""

    def record(
        self, facts: Mapping[str, Any], notes: RequestNotes, headers: Mapping[str, str], start_ns: int, end_ns: int
    ) -> str | None:
        """Make the spans of a request.

        Args:
            facts: request_id, method, path, status.
            notes: what became known of it.
            headers: of the request: `traceparent` and `tracestate` say whose part it is.
            start_ns: Unix time.
            end_ns: Unix time.

        Returns:
            The id of the trace.
        """

    def close(self) -> None:
        """Send what is left."""


def check_traces(url: str | None) -> None:
    """Prove that traces can be sent, as far as this machine alone can tell.

    Raises:
        ConfigError: the exporter is not installed.
    """
    if url is None:
        return
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: F401, PLC0415  (an extra)
    except ImportError:
        raise ConfigError(
            "--traces needs the extra 'traces': pip install opentelemetry-exporter-otlp-proto-http"
        ) from None


def tracer_of(url: str | None) -> Tracer:
    """A tracer that sends to a collector by OTLP over HTTP; without one it does nothing."""
    return NoTracer() if url is None else OtlpTracer(url)


class NoTracer:
    """Where no collector is named."""

    def record(
        self, facts: Mapping[str, Any], notes: RequestNotes, headers: Mapping[str, str], start_ns: int, end_ns: int
    ) -> str | None:
        """Nothing."""
        return None

    def close(self) -> None:
        """Nothing."""


class OtlpTracer:
    """Spans are made after the answer: the stages' times come with it, and a search does not wait for them.

    Args:
        url: of the collector; /v1/traces is added where it has no path.
    """

    def __init__(self, url: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  (an extra)
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._provider = TracerProvider(resource=Resource.create({"service.name": "reelsift"}))
        exporter = OTLPSpanExporter(endpoint=endpoint(url))
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_DELAY_MS))
        self._tracer = self._provider.get_tracer("reelsift.serving")

    def record(
        self, facts: Mapping[str, Any], notes: RequestNotes, headers: Mapping[str, str], start_ns: int, end_ns: int
    ) -> str | None:
        """As `Tracer.record`."""
        from opentelemetry.trace import SpanKind, set_span_in_context  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        span = self._tracer.start_span(
            f"{facts['method']} {facts['path']}",
            TraceContextTextMapPropagator().extract(dict(headers)),
            SpanKind.SERVER,
            _attributes(facts, notes),
            start_time=start_ns,
        )
        context = set_span_in_context(span)
        begin_ns = start_ns
        for stage in _STAGES:
            if stage in notes.timings_ms:
                done_ns = begin_ns + int(notes.timings_ms[stage] * 1e6)
                self._tracer.start_span(stage, context, start_time=begin_ns).end(done_ns)
                begin_ns = done_ns
        if facts["status"] >= _SERVER_ERROR:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415

            span.set_status(StatusCode.ERROR)
        span.end(end_ns)
        return format(span.get_span_context().trace_id, "032x")

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def endpoint(url: str) -> str:
    """The full address of a collector.

    >>> endpoint("http://127.0.0.1:4318"), endpoint("https://otel.example/in")
    ('http://127.0.0.1:4318/v1/traces', 'https://otel.example/in')
    """
    return url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/v1/traces"


def _attributes(facts: Mapping[str, Any], notes: RequestNotes) -> dict[str, Any]:
    found = {
        "http.request.method": facts["method"],
        "http.route": facts["path"],
        "http.response.status_code": facts["status"],
        "reelsift.request_id": facts["request_id"],
        "reelsift.index.version": notes.version,
        "reelsift.hits": notes.hits,
        "reelsift.degraded": notes.degraded or None,
    }
    return {name: value for name, value in found.items() if value is not None}
