"""What becomes of the rows of one pass over the graph of an extraction, while people watch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.observe import ProgressDisplay
from pipeline.run_account import RunAccount
from schemas.tables import DONE, FILTERED, QUARANTINED


@dataclass
class Outcome:
    """The sum of a pass.

    Attributes:
        processed: sources that were committed.
        split: tasks whose sources are too much together.
        cuts: of tasks whose only source is too much, how it is to be cut.
        errors: of tasks, or parts, that were not committed.
    """

    processed: int = 0
    split: set[str] = field(default_factory=set)
    cuts: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


def follow(results: Iterable[Mapping[str, Any]], rows: Sequence[Mapping[str, str]], account: RunAccount) -> Outcome:
    """Consume results, and show progress.

    Args:
        results: rows of `pipeline.stages.commit.commit_batch`, as they come.
        rows: what went in: task_id, sources (JSON), part.
        account: of the run.
    """
    sizes = {row["task_id"]: row["sources"].count('"task_id"') for row in rows}
    parts = sum(bool(row["part"]) for row in rows)
    totals = {DONE: 0, FILTERED: 0, QUARANTINED: 0}
    outcome, parts_done = Outcome(), 0
    with ProgressDisplay(sum(sizes.values())) as display:
        for row in results:
            account.add(row)
            task = str(row["task_id"])
            if row["error"]:
                outcome.errors.append(str(row["error"]))
            if row["split"]:
                outcome.split.add(task)
            if row["cut"]:
                outcome.cuts[task] = str(row["cut"])
            if row["split"] or row["cut"]:
                continue
            for status in totals:
                totals[status] += int(row[status])
            parts_done += bool(row["part"])
            notes = _notes(totals, len(outcome.errors), f"{parts_done} of {parts} parts" if parts else "")
            display.advance(0 if row["part"] else sizes[task], notes)
    outcome.processed = sum(totals.values())
    return outcome


def _notes(totals: Mapping[str, int], errors: int, parts: str) -> str:
    said = [f"{count} {status}" for status, count in totals.items() if count]
    said += [parts] if parts else []
    return ", ".join((said or ["none done"]) + ([f"{errors} tasks failed"] if errors else []))
