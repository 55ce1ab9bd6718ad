"""Geometry of the report's plots: numbers to coordinates of an SVG. Pure; the template draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

WIDTH, HEIGHT = 420, 270
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 40
_PERCENT_TICKS = (0, 20, 40, 60, 80, 100)


@dataclass(frozen=True)
class Series:
    """One line of a plot.

    Attributes:
        name: in the legend.
        style: class of its colour.
        points: (x, percent), in order of x.
    """

    name: str
    style: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and what it says."""

    at: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A point: where, and what it says when it is pointed at."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Line:
    """A drawn series."""

    name: str
    style: str
    path: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class LinePlot:
    """A plot of percents over a logarithmic axis."""

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram."""

    x: float
    y: float
    width: float
    height: float
    style: str
    label: str


@dataclass(frozen=True)
class Histogram:
    """Grouped bars of percents."""

    title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]
    legend: tuple[tuple[str, str], ...]


def line_plot(
    title: str, x_label: str, y_label: str, series: Sequence[Series], ticks: Sequence[float] | None = None
) -> LinePlot:
    """Lay out lines over a logarithmic x axis.

    Args:
        title: of the plot.
        x_label: of the axis.
        y_label: of the axis, which goes from 0 to 100.
        series: at least one with a point; all x above 0.
        ticks: values marked on the x axis; None for powers of ten.
    """
    xs = [x for one in series for x, _ in one.points]
    low, high = math.log10(min(xs)), math.log10(max(xs))
    if high - low < 1e-9:  # noqa: PLR2004  (a single x stands in the middle)
        low, high = low - 0.5, high + 0.5

    def at(x: float) -> float:
        return round(LEFT + 8 + (math.log10(x) - low) / (high - low) * (WIDTH - LEFT - RIGHT - 16), 1)

    lines = []
    for one in series:
        marks = tuple(Mark(at(x), _height(y), f"{one.name}: {short(x)}, {y:g} %") for x, y in one.points)
        path = " ".join(f"{'L' if index else 'M'}{mark.x} {mark.y}" for index, mark in enumerate(marks))
        lines.append(Line(one.name, one.style, path, marks))
    values = list(ticks or [10.0**power for power in range(math.ceil(low), math.floor(high) + 1)])
    if len(values) < 2:  # noqa: PLR2004  (an axis needs two marks)
        values = sorted({min(xs), max(xs)})
    x_ticks = tuple(Tick(at(value), short(value)) for value in values)
    return LinePlot(title, x_label, y_label, x_ticks, _y_ticks(), tuple(lines))


def histogram(title: str, counts: dict[str, dict[str, int]], styles: dict[str, str]) -> Histogram:
    """Lay out grouped bars: for each bucket the percent of queries in it, by way.

    Args:
        title: of the plot.
        counts: way -> bucket -> queries; the same buckets for all ways.
        styles: way -> class of its colour.
    """
    buckets = list(next(iter(counts.values())))
    room = (WIDTH - LEFT - RIGHT) / len(buckets)
    width = room * 0.8 / len(counts)
    bars = []
    for place, (way, by_bucket) in enumerate(counts.items()):
        total = max(1, sum(by_bucket.values()))
        for column, bucket in enumerate(buckets):
            percent = 100.0 * by_bucket[bucket] / total
            top = _height(percent)
            label = f"{way}, rank {bucket}: {by_bucket[bucket]} queries, {percent:.1f} %"
            left = LEFT + column * room + room * 0.1 + place * width
            bars.append(Bar(round(left, 1), top, round(width, 1), round(_height(0) - top, 1), styles[way], label))
    ticks = tuple(Tick(round(LEFT + (column + 0.5) * room, 1), bucket) for column, bucket in enumerate(buckets))
    return Histogram(title, ticks, _y_ticks(), tuple(bars), tuple((way, styles[way]) for way in counts))


def rank_buckets(ranks: dict[str, Tensor], clips: int) -> dict[str, dict[str, int]]:
    """How many ranks fall into each bucket, by way; buckets end at the number of clips.

    >>> import torch
    >>> rank_buckets({"coarse": torch.tensor([1, 3, 5, 9])}, clips=9)
    {'coarse': {'1': 1, '2-5': 2, '6-9': 1}}
    """
    limits = [edge for edge in (1, 5, 10, 50, 100, 500, 1000, 5000) if edge < clips] + [clips]
    found: dict[str, dict[str, int]] = {}
    for way, ranks_Q in ranks.items():
        found[way] = {}
        for first, last in zip([1, *(edge + 1 for edge in limits)], limits, strict=False):
            name = str(first) if first == last else f"{first}-{last}"
            found[way][name] = int(((ranks_Q >= first) & (ranks_Q <= last)).sum())
    return found


def short(value: float) -> str:
    """A number in few letters.

    >>> short(50), short(1_500_000), short(2e9), short(1e13), short(10_000)
    ('50', '1.5M', '2G', '10T', '10k')
    """
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"


def _height(percent: float) -> float:
    return round(TOP + (1 - percent / 100.0) * (HEIGHT - TOP - BOTTOM), 1)


def _y_ticks() -> tuple[Tick, ...]:
    return tuple(Tick(_height(percent), str(percent)) for percent in _PERCENT_TICKS)
