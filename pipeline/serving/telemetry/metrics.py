"""Figures for Prometheus: what is asked, how long each stage takes, what is left out when time runs short."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from pipeline.ranking import Reads
from pipeline.serving.errors import Failure
from schemas.http import IndexInfo

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_COUNTS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The figures of one ingress, each name beginning with `reelsift_`."""

    def __init__(self) -> None:
        # They would double the series, and no dashboard reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        labels = ("path", "method", "status")
        self._requests = Counter("reelsift_http_requests", "Requests answered.", labels, registry=registry)
        self._durations = Histogram(
            "reelsift_http_request_duration_seconds",
            "From the request's arrival in the ingress to the end of its answer, unless it was refused by a 429.",
            ("path",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge("reelsift_http_requests_in_flight", "Requests under way.", registry=registry)
        self._stages = Histogram(
            "reelsift_search_stage_duration_seconds",
            "Work of the stages of a search, as timings_ms of its answer says; total is all of it.",
            ("stage",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._degradations = Counter(
            "reelsift_search_degradations", "Answers in which a step was left out.", ("step",), registry=registry
        )
        self._batches = Histogram(
            "reelsift_search_batch_queries", "Texts of a batch search.", buckets=_COUNTS, registry=registry
        )
        self._together = Histogram(
            "reelsift_searches_together",
            "Searches that a part of the service took together, seen by each of them.",
            ("part",),
            buckets=_COUNTS,
            registry=registry,
        )
        self._records = Counter(
            "reelsift_fine_records",
            "Records of fine tokens that searches read, by whether the page cache held them.",
            ("cache",),
            registry=registry,
        )
        self._stills = Counter(
            "reelsift_thumbnails",
            "Pictures asked for, by whether they were in the cache.",
            ("cache",),
            registry=registry,
        )
        self._media_bytes = Counter("reelsift_media_bytes", "Bytes of videos sent.", registry=registry)
        self._index = Gauge(
            "reelsift_index_info",
            "The version that new requests are answered from.",
            ("version", "revision", "model_id", "codec"),
            registry=registry,
        )
        self._clips = Gauge("reelsift_index_clips", "Clips of that version.", registry=registry)
        self._frames = Gauge("reelsift_index_frame_vectors", "Frame vectors of that version.", registry=registry)
        self._ready = Gauge("reelsift_ready", "1 where searches can be answered.", registry=registry)

    def answered(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count a request. The path is a template, never what a caller made up: each one is kept for ever."""
        self._requests.labels(path, method, str(status)).inc()
        # To be refused takes no time, and many refusals would hide how long those take that are let in.
        if status != HTTPStatus.TOO_MANY_REQUESTS:
            self._durations.labels(path).observe(seconds)

    def searched(self, timings_ms: Mapping[str, float], degraded: Sequence[str]) -> None:
        """Count the stages of an answer, in milliseconds, and what was left out."""
        for stage, spent_ms in timings_ms.items():
            self._stages.labels(stage).observe(spent_ms / 1000)
        for step in degraded:
            self._degradations.labels(step).inc()

    def batched(self, queries: int) -> None:
        """Count a batch search of so many texts."""
        self._batches.observe(queries)

    def taken_together(self, searches: dict[str, int]) -> None:
        """Count a search that each of these parts took in a batch of so many."""
        for part, count in searches.items():
            self._together.labels(part).observe(count)

    def read(self, reads: Reads) -> None:
        """Count the fine records that a search read."""
        for cache, count in (("hit", reads.memory), ("miss", reads.disk)):
            self._records.labels(cache).inc(count)

    def pictured(self, *, cached: bool) -> None:
        """Count a picture."""
        self._stills.labels("hit" if cached else "miss").inc()

    def sent(self, count: int) -> None:
        """Count bytes of videos."""
        self._media_bytes.inc(count)

    def exposition(self, index: IndexInfo, trouble: Failure | None) -> bytes:
        """All figures as text.

        Args:
            index: what new requests are answered from.
            trouble: why a search would fail now, or None.
        """
        # A version that is no longer served must not stay in sight.
        self._index.clear()
        if index.version is not None:
            names = (index.version, index.revision, index.model_id, index.codec)
            self._index.labels(*(str(name) for name in names)).set(1)
        self._clips.set(index.clips)
        self._frames.set(index.frame_rows)
        self._ready.set(trouble is None)
        return generate_latest(self._registry)
