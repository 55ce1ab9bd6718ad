"""report.html: one file, nothing fetched, for light and dark screens and for phones."""

from pathlib import Path
from typing import Final

import jinja2

from pipeline.evaluation.pictures import Pictures
from pipeline.evaluation.plots import HEIGHT, LEFT, RIGHT, WIDTH, LinePlot, Series, histogram, line_plot, short
from schemas.evaluation import EvaluationReport, Slice
from schemas.recall import RECALL_MODES

_TEMPLATE: Final = "report.html.jinja"
_STYLES: Final = {"coarse": "c1", "frames": "c2", "both": "c3"}
_WAY_STYLES: Final = {"coarse": "c4", "two_stage": "c3", "exhaustive": "c5"}
_RECALL_AT: Final = "R@1"


def render_page(report: EvaluationReport, macs_by_depth: dict[str, dict[int, float]], pictures: Pictures) -> str:
    """The page.

    Args:
        report: all figures.
        macs_by_depth: recall mode -> k -> MACs of a query.
        pictures: of the worst queries.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short
    slices = {"all queries": report.overall, **report.groups}
    return environment.get_template(_TEMPLATE).render(
        report=report,
        slices=slices,
        modes=RECALL_MODES,
        styles=_STYLES,
        by_k=[_against_k(name, one) for name, one in slices.items()],
        by_macs=[_against_macs(name, one, report, macs_by_depth) for name, one in slices.items()],
        ranks=histogram("Ranks of the right clip", report.ranks, _WAY_STYLES),
        pictures=pictures,
        frame={"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT},
    )


def _against_k(name: str, one: Slice) -> LinePlot:
    ks = list(next(iter(one.sweep.values())))
    series = [
        Series(
            f"two-stage, recall: {mode}", _STYLES[mode], tuple((k, f[_RECALL_AT]) for k, f in one.sweep[mode].items())
        )
        for mode in RECALL_MODES
    ]
    for way in ("exhaustive", "coarse"):
        level = one.t2v[way][_RECALL_AT]
        series.append(Series(f"{way} alone", _WAY_STYLES[way], tuple((k, level) for k in (ks[0], ks[-1]))))
    return line_plot(f"R@1 against k: {name}", "candidates k", "R@1, %", series, ks)


def _against_macs(
    name: str, one: Slice, report: EvaluationReport, macs_by_depth: dict[str, dict[int, float]]
) -> LinePlot:
    series = [
        Series(
            f"two-stage, recall: {mode}",
            _STYLES[mode],
            tuple((macs_by_depth[mode][k], figures[_RECALL_AT]) for k, figures in one.sweep[mode].items()),
        )
        for mode in RECALL_MODES
    ]
    for way in ("exhaustive", "coarse"):
        point = (report.cost.macs[way], one.t2v[way][_RECALL_AT])
        series.append(Series(f"{way} alone", _WAY_STYLES[way], (point,)))
    return line_plot(f"R@1 against MACs: {name}", "multiply-adds of a query", "R@1, %", series)
