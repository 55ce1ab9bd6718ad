import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
import torch

from pipeline.evaluation.cost import exhaustive_macs
from pipeline.evaluation.measure import macs_by_depth, measured_cost, paper_rows
from pipeline.evaluation.page import render_page
from pipeline.evaluation.plots import HEIGHT, WIDTH, Series, histogram, line_plot, rank_buckets
from pipeline.evaluation.protocol import Headline, rank_texts
from pipeline.evaluation.scores import score_all
from pipeline.evaluation.slices import Slicer
from pipeline.evaluation.stages import TwoStages
from schemas.evaluation import Absent, EvaluationReport, Moment, WorstQuery
from tests.pipeline.evaluation import small_set

EVIL = '<script>alert("x")</script> & "more" {{ 7 * 7 }}'
OWNERS = [0, 1, 2, 3, 4, 5]
DEPTHS = (1, 5)
PICTURES = {("/a.mp4", 0.5): "data:image/jpeg;base64,AAAA", ("/b.mp4", 1.5): f"no picture: {EVIL}"}


@pytest.fixture
def report_and_page(tmp_path):
    model, gallery, text_TD = small_set.model(), small_set.gallery(tmp_path), small_set.texts(len(OWNERS))
    clip_T, headline = torch.tensor(OWNERS), Headline("both", 5)
    scores, stages = score_all(model, text_TD, gallery), TwoStages.of(gallery, model)
    table = rank_texts(scores, clip_T, DEPTHS)
    slicer = Slicer(small_set.captions(OWNERS), clip_T, scores, table, headline, DEPTHS)
    own, found = (Moment(key=EVIL, uri=uri, time_s=at, score=1.0) for uri, at in PICTURES)
    ranks = {"two_stage": 9, "coarse": 9, "exhaustive": 2}
    report = EvaluationReport(
        data={"spec": EVIL, "name": EVIL, "split": "test", "protocol": EVIL},
        notes=[EVIL],
        model=EVIL,
        model_id="m",
        recall="both",
        recall_k=5,
        queries=len(OWNERS),
        clips=len(gallery.clips),
        overall=slicer.overall(),
        groups={EVIL: slicer.overall()},
        tags=slicer.tags(("event_frames",)),
        ranks=rank_buckets(table.ranks("both", 5), len(gallery.clips)),
        absent=Absent(
            missing=1,
            quarantined={"crash": 1},
            captions=3,
            names={EVIL: "crash"},
            t2v_with_misses={"coarse": {"R@1": 1.0}},
        ),
        cost=measured_cost(stages, text_TD[:1], "both", 5),
        paper=paper_rows(),
        worst=[WorstQuery(text=EVIL, group=EVIL, tags={"t": EVIL}, ranks=ranks, recalled=False, own=own, found=found)],
        phases={},
        dsl=None,
        probes={"colour": 50.0},
    )
    return report, render_page(report, macs_by_depth(stages, DEPTHS), PICTURES)


class Balanced(HTMLParser):
    """Fails on a tag that is closed where another is open."""

    VOID = frozenset(("meta", "img", "br", "line", "path"))

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in self.VOID

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_fetches_nothing_and_escapes_every_text(report_and_page):
    page = report_and_page[1]
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert parser.links == ["data:image/jpeg;base64,AAAA"]
    assert "<script" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert page.count("&lt;script&gt;") > 8
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(svg)


def test_the_page_shows_every_k_every_recall_and_every_event_length(report_and_page):
    report, page = report_and_page
    assert page.count("recall: coarse</th>") == page.count("recall: both</th>") == 4  # all, the group, two lengths
    for value in report.tags["event_frames"].values():
        assert f"{value.t2v['exhaustive']['R@1']:.1f}" in page
    for ratio in ("13.8", "38.8", "20.4", "125.9"):
        assert f"<b>{ratio}</b>" in page


def test_the_cost_of_a_run_holds_both_ratios(report_and_page):
    cost = report_and_page[0].cost
    assert cost.macs["exhaustive"] == exhaustive_macs(small_set.SHAPE, small_set.model().config.fusion, 23)
    for mode in ("coarse", "frames", "both"):
        assert cost.macs_ratio[mode] == round(cost.macs["exhaustive"] / cost.macs[f"two_stage_{mode}"], 2) > 1
        assert cost.seconds_ratio[mode] == round(cost.seconds["exhaustive"] / cost.seconds[f"two_stage_{mode}"], 2)


@pytest.mark.parametrize("xs", [(1, 5, 200), (3,), (2e5, 3e5), (1e3, 1e12)])
def test_every_mark_lies_inside_its_plot(xs):
    plot = line_plot("t", "x", "y", [Series("s", "c1", tuple((x, 100.0 * i / 3) for i, x in enumerate(xs)))])
    for mark in plot.lines[0].marks:
        assert 0 < mark.x < WIDTH
        assert 0 < mark.y < HEIGHT
    assert all(0 < tick.at < WIDTH for tick in plot.x_ticks)
    assert len(plot.x_ticks) >= min(2, len(xs))


def test_bars_are_shares_of_the_queries():
    counts = rank_buckets({"coarse": torch.tensor([1, 1, 2, 900])}, clips=1000)
    assert counts["coarse"] == {"1": 2, "2-5": 1, "6-10": 0, "11-50": 0, "51-100": 0, "101-500": 0, "501-1000": 1}
    bars = histogram("t", counts, {"coarse": "c1"}).bars
    assert bars[0].height == pytest.approx(2 * bars[1].height, abs=0.2)
    assert bars[2].height == 0
