"""The messages are the HTTP bodies, field by field, and the checked-in modules are what the .proto says."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from pipeline.serving.grpc import reelsift_pb2 as pb
from pipeline.serving.grpc.answers import message_of
from schemas import http, results
from tests.pipeline.serving.fake_backend import hit_of

ROOT = Path(__file__).resolve().parents[4]
FOLDER = "pipeline/serving/grpc"
MODELS = [
    http.SearchRequest, http.BatchRequest, http.BatchResult, http.SimilarResult, http.ClipInfo, http.IndexField,
    http.IndexInfo, results.SearchHit, results.SearchResult, results.HitExplanation,
]  # fmt: skip


def test_the_generated_modules_are_those_of_the_proto(tmp_path):
    outs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", *outs, f"{FOLDER}/reelsift.proto"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    made = {path.name: path.read_text() for path in (tmp_path / FOLDER).iterdir()}
    assert made == {path.name: path.read_text() for path in (ROOT / FOLDER).glob("reelsift_pb2*.py*")}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_message_has_the_fields_of_its_model(model: type[BaseModel]):
    assert set(getattr(pb, model.__name__).DESCRIPTOR.fields_by_name) == set(model.model_fields)


def test_an_explanation_keeps_its_rows_and_what_is_none_is_not_set():
    facts = {"frame_times_s": [0.5], "frame_weights": [1.0], "patch_weights": [[0.1, 0.2], [0.3, 0.4]]}
    hit = hit_of("c1", explanation=results.HitExplanation(**facts, heatmap_png=None))
    found = results.SearchResult(query="a", version=1, recall="both", hits=[hit], timings_ms={}, degraded=[])
    explanation = message_of(found).hits[0].explanation
    assert [list(row.weights) for row in explanation.patch_weights] == facts["patch_weights"]
    assert not explanation.HasField("heatmap_png")


@pytest.mark.parametrize("value", [True, 7, 2**62 + 1, 0.5, "a", None])
def test_a_value_of_a_field_keeps_its_type(value):
    clip = http.ClipInfo(clip_id="c", video_id="v", version=1, uri="u", start_s=0, end_s=1, fields={"f": value})
    got = message_of(clip).fields["f"]
    kind = got.WhichOneof("value")
    assert (getattr(got, kind) if kind else None) == value
    assert kind == {bool: "bool_value", int: "int_value", float: "float_value", str: "string_value"}.get(type(value))
