"""What `reelsift index` tells people of versions."""

from collections.abc import Iterator

from schemas.manifest import EvaluationNote, RecallFigures
from schemas.results import GcSummary, IndexSummary


def version_line(summary: IndexSummary) -> str:
    """A version in one line."""
    state = "live" if summary.live else "live before" if summary.previous else "not live"
    changed = f", revision {summary.revision}" if summary.revision > 1 else ""
    frames = f"{summary.frame_rows} frame vectors" if summary.frame_rows else "no frame vectors"
    return (
        f"version {summary.version} ({state}{changed}): {summary.clips} clips of model {summary.model_id}, {frames}, "
        f"codec {summary.codec}, {summary.bytes_per_clip} bytes a clip, {summary.fine_bytes} of files and about "
        f"{summary.milvus_bytes} in Milvus, collection {summary.collection}, index {_index(summary)}, "
        f"{_recall(summary.recall)}, {_evaluation(summary.evaluation)}, built {summary.created_utc}"
    )


def _index(summary: IndexSummary) -> str:
    # The parameters of a graph mean nothing to a scan.
    search = {} if summary.index_type == "FLAT" else summary.search
    return " ".join([summary.index_type, *(f"{name} {value}" for name, value in search.items())])


def _recall(figures: RecallFigures | None) -> str:
    return f"recall@{figures.k} {figures.least:.3f}" if figures else "recall not measured"


def _evaluation(note: EvaluationNote | None) -> str:
    if note is None:
        return "not evaluated"
    figures = " ".join(f"{name} {value:.1f}" for name, value in note.figures.items())
    return f"evaluated on {note.data} {note.split} ({note.queries} queries, {note.clips} clips): {figures}"


def gc_lines(summary: GcSummary) -> Iterator[str]:
    """What was removed, a line each."""
    verb = "would remove" if summary.dry_run else "removed"
    kept = f"kept: {', '.join(map(str, summary.kept)) or 'none'}"
    yield (
        f"{verb} versions: {', '.join(map(str, summary.removed)) or 'none'} ({kept}); "
        f"{summary.fine_bytes} bytes of files, about {summary.milvus_bytes} of vectors in Milvus"
    )
    if summary.leftovers:
        yield f"{verb} what was left of unfinished versions: {', '.join(map(str, summary.leftovers))}"
    for name in summary.orphans:
        yield f"{verb} the Milvus collection {name}, which no version names"
    yield from (f"left: {line}" for line in summary.left)
