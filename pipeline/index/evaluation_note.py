"""Figures of a `reelsift evaluate` report, kept beside the manifest of the version that they are of."""

import time

from pydantic import ValidationError

from pipeline.index.versions import read_manifest, version_store
from pipeline.storage import Store, read_input
from schemas.errors import InputError, ModelMismatchError
from schemas.evaluation import EvaluationReport
from schemas.manifest import EVALUATION, EvaluationNote


def read_report(uri: str) -> EvaluationReport:
    """A report.json.

    Raises:
        InputError: it is missing, or is none.
    """
    try:
        return EvaluationReport.model_validate_json(read_input(uri))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "JSON"
        raise InputError(
            f"{uri} is no report.json of reelsift evaluate ({where}: {error.errors()[0]['msg']})"
        ) from None


def note_of(report: EvaluationReport) -> EvaluationNote:
    """What is kept of a report: text to video in two stages."""
    figures = report.overall.t2v["two_stage"]
    return EvaluationNote(
        model_id=report.model_id,
        data=report.data.get("spec", ""),
        split=report.data.get("split", ""),
        queries=report.queries,
        clips=report.clips,
        recall=report.recall,
        recall_k=report.recall_k,
        figures={name: figures[name] for name in ("R@1", "R@5", "R@10", "MdR") if name in figures},
        noted_utc=time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
    )


def check_evaluation(index: Store, version: int, note: EvaluationNote) -> None:
    """Refuse figures of another model.

    Raises:
        ModelMismatchError: the report is of another model than the version.
        IndexMissingError: there is no such version.
    """
    model_id = read_manifest(index, version).model_id
    if note.model_id != model_id:
        raise ModelMismatchError(
            f"the evaluation is of model {note.model_id}, version {version} of {model_id}: evaluate with that model"
        )


def write_evaluation(index: Store, version: int, note: EvaluationNote) -> None:
    """Keep figures with a version; they replace older ones."""
    version_store(index, version).write(EVALUATION, note.model_dump_json(indent=1).encode())
