"""What one run of `reelsift extract` did, for TABLES/runs/<id>.json and .html: pace, occupancy, failures, slow files.

Memory does not grow with the run: seconds are summed into at most `MOST_POINTS` stretches, and of files only the
slowest are kept.
"""

import heapq
import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jinja2

from pipeline.stages.commit import run_notes
from pipeline.storage import Store
from schemas.run_report import RunReport, SlowFile, StageUse
from schemas.tables import DONE, FILTERED, QUARANTINED

RUNS_DIR: Final = "runs"
MOST_POINTS: Final = 120
_SLOWEST: Final = 20
_TEMPLATE: Final = "run_report.html.jinja"


class Pace:
    """Sources over time, in equal stretches that become longer as the run does."""

    def __init__(self, stretch_s: float = 1.0) -> None:
        self.stretch_s = stretch_s
        self.counts: list[int] = []

    def add(self, at_s: float, sources: int) -> None:
        """Count sources that were ready `at_s` seconds after the start."""
        while at_s >= self.stretch_s * MOST_POINTS:
            self.stretch_s *= 2
            pairs = [self.counts[i : i + 2] for i in range(0, len(self.counts), 2)]
            self.counts = [sum(pair) for pair in pairs]
        place = int(at_s // self.stretch_s)
        self.counts += [0] * (place + 1 - len(self.counts))
        self.counts[place] += sources


class RunAccount:
    """Collects while a run goes on."""

    def __init__(self) -> None:
        self.run_id = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
        self._start = time.monotonic()
        self._started_utc = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        self._pace = Pace()
        self._statuses: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._busy: Counter[str] = Counter()
        self._actors: dict[str, int] = {}
        self._slow: list[tuple[float, str, str]] = []
        self._failed_tasks = 0
        self.error = ""

    def pools(self, actors: Mapping[str, int]) -> None:
        """Note how many workers each stage has at most."""
        self._actors = dict(actors)

    def add(self, row: Mapping[str, Any]) -> None:
        """Note one result row of `pipeline.stages.commit.commit_batch`."""
        for stage, seconds in json.loads(str(row["busy_s"])).items():
            self._busy[stage] += seconds
        if row["error"]:
            self._failed_tasks += 1
            return
        notes = json.loads(str(row["notes"]))
        self._count({status: int(row[status]) for status in (DONE, FILTERED, QUARANTINED)}, notes)

    def add_video(self, video: Mapping[str, Any]) -> None:
        """Note a long video that was committed, by its row of the videos table."""
        self._count({video["status"]: 1}, run_notes([video]))

    def _count(self, statuses: Mapping[str, int], notes: Mapping[str, Any]) -> None:
        self._statuses.update(statuses)
        self._pace.add(time.monotonic() - self._start, sum(statuses.values()))
        self._reasons.update(notes["reasons"])
        for seconds, uri, outcome in notes["slowest"]:
            entry = (float(seconds), str(uri), str(outcome))
            if len(self._slow) < _SLOWEST:
                heapq.heappush(self._slow, entry)
            else:
                heapq.heappushpop(self._slow, entry)

    def report(self, peak_bytes: int, budget_bytes: int | None) -> RunReport:
        """All of it."""
        seconds = time.monotonic() - self._start
        stages = [
            StageUse(
                stage=stage,
                workers=workers,
                busy_s=round(self._busy[stage], 3),
                occupancy=round(self._busy[stage] / max(1e-9, workers * seconds), 4),
            )
            for stage, workers in self._actors.items()
        ]
        return RunReport(
            run_id=self.run_id,
            started_utc=self._started_utc,
            seconds=round(seconds, 3),
            done=self._statuses[DONE],
            filtered=self._statuses[FILTERED],
            quarantined=self._statuses[QUARANTINED],
            failed_tasks=self._failed_tasks,
            reasons=dict(self._reasons.most_common()),
            stretch_s=self._pace.stretch_s,
            sources_a_stretch=self._pace.counts,
            stages=stages,
            slowest=[SlowFile(uri=uri, seconds=s, outcome=how) for s, uri, how in sorted(self._slow, reverse=True)],
            peak_bytes=peak_bytes,
            budget_bytes=budget_bytes,
            error=self.error,
        )


def write_report(store: Store, report: RunReport) -> None:
    """Write both forms beside the tables.

    Raises:
        StorageError: the location refuses.
    """
    store.write(f"{RUNS_DIR}/{report.run_id}.json", report.model_dump_json(indent=2).encode() + b"\n")
    store.write(f"{RUNS_DIR}/{report.run_id}.html", render_run(report).encode())


def render_run(report: RunReport) -> str:
    """The page: one file, nothing fetched, every value escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    most = max(report.sources_a_stretch, default=0) or 1
    bars = [
        {
            "x": round(600 * place / len(report.sources_a_stretch), 2),
            "width": round(600 / len(report.sources_a_stretch), 2),
            "height": round(120 * count / most, 2),
            "label": f"from {place * report.stretch_s:g} s: {count} sources",
        }
        for place, count in enumerate(report.sources_a_stretch)
    ]
    return environment.get_template(_TEMPLATE).render(report=report, bars=bars, most=most)
