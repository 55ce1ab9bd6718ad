"""The dashboard asks for figures that there are, by labels that they have, and leaves none out."""

import json
import re
from pathlib import Path

import pytest

from pipeline.ranking import Reads
from pipeline.serving.telemetry.metrics import Metrics
from schemas.http import IndexInfo

DASHBOARD = json.loads((Path(__file__).resolve().parents[4] / "docs" / "grafana.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
INFO = IndexInfo(version=3, revision=2, clips=7, frame_rows=80, model_id="m", codec="fp16", collection="c")


@pytest.fixture(scope="module")
def exported():
    """The labels of every figure, by its name."""
    metrics = Metrics()
    metrics.answered("/v1/search", "POST", 200, 0.1)
    metrics.searched({"encode": 1.0}, ["coarse_only"])
    metrics.batched(3)
    metrics.taken_together({"encoder": 2, "recall": 3})
    metrics.read(Reads(3, 1))
    metrics.pictured(cached=True)
    metrics.sent(10)
    found = {}
    for line in metrics.exposition(INFO, None).decode().splitlines():
        if not line.startswith("#"):
            name, labels = re.match(r"(\w+)(?:\{(.*)\})? ", line).groups()
            found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels or ""))
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_figures_and_labels_that_are_exported(exported, expression):
    names = re.findall(r"reelsift_\w+", expression)
    assert names
    assert set(names) <= set(exported)
    asked = re.findall(r"by \(([^)]*)\)", expression) + re.findall(r'(\w+)(?:=|!=|=~|!~)"', expression)
    labels = {label.strip() for each in asked for label in each.split(",")}
    assert labels <= set.union(*(exported[name] for name in names))


def test_every_figure_is_on_the_dashboard(exported):
    shown = " ".join(EXPRESSIONS)
    for name in exported:
        assert re.sub(r"_(bucket|sum|count)$", "", name) in shown, name


def test_panels_do_not_lie_on_each_other():
    cells = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & mine, panel["title"]
        cells |= mine
