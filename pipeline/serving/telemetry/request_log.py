"""One line of JSON for each request. Keys, signatures and, unless asked for, texts stay out of it."""

import json
import logging
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from typing import Any

from pipeline.serving.telemetry.request_notes import RequestNotes
from schemas.front import FrontSettings

_LOGGER = "reelsift.requests"


class RequestLog:
    """Writes the lines.

    Args:
        settings: where to, and whether with texts.
    """

    def __init__(self, settings: FrontSettings) -> None:
        self._log_queries = settings.log_queries
        # A file that was moved away, as logrotate does, is opened anew.
        path = settings.request_log
        handler = WatchedFileHandler(path, encoding="utf-8") if path else logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._logger = logging.Logger(_LOGGER, logging.INFO)
        self._logger.addHandler(handler)

    def write(self, facts: dict[str, Any], notes: RequestNotes, trace_id: str | None = None) -> None:
        """Write one line.

        Args:
            facts: request_id, method, path, status, ms.
            notes: what became known of the request; what did not is left out.
            trace_id: of its trace.
        """
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **facts}
        noted: dict[str, Any] = {"version": notes.version, "hits": notes.hits, "timings_ms": notes.timings_ms or None}
        noted |= {"degraded": notes.degraded or None, "trace_id": trace_id}
        if self._log_queries:
            noted["queries"] = notes.queries or None
        line |= {name: value for name, value in noted.items() if value is not None}
        self._logger.info("%s", json.dumps(line, ensure_ascii=False))
