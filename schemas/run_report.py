"""TABLES/runs/<id>.json: what one run of an extraction did."""

from schemas.results import Result


class StageUse(Result):
    """How busy a stage was: `occupancy` is `busy_s` over the seconds that its workers had, start-up included."""

    stage: str
    workers: int
    busy_s: float
    occupancy: float


class SlowFile(Result):
    """A file that took long to decode; `outcome` is its status, or its reason if it is bad."""

    uri: str
    seconds: float
    outcome: str


class RunReport(Result):
    """One run.

    Attributes:
        run_id: when it started, and its process.
        started_utc: ISO 8601.
        seconds: in all, the start of Ray included.
        done: sources of this run.
        filtered: sources of this run.
        quarantined: sources of this run.
        failed_tasks: not committed; the next run tries them again.
        reasons: of filtered and quarantined sources, the most frequent first.
        stretch_s: length of a stretch in seconds.
        sources_a_stretch: sources that became ready in each stretch.
        stages: in order of the graph.
        slowest: files, the slowest first.
        peak_bytes: of all processes of the run on this machine together.
        budget_bytes: that was stated for it; None without.
        error: why the run ended early; empty if it did not.
    """

    run_id: str
    started_utc: str
    seconds: float
    done: int
    filtered: int
    quarantined: int
    failed_tasks: int
    reasons: dict[str, int]
    stretch_s: float
    sources_a_stretch: list[int]
    stages: list[StageUse]
    slowest: list[SlowFile]
    peak_bytes: int
    budget_bytes: int | None
    error: str
