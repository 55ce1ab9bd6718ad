"""Outlines of the shapes: polygons inside the unit circle, y pointing down, so that no turn makes one reach farther."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.vocabulary import Shape

Polygon = NDArray[np.float64]
_ARC_POINTS = 40


def _arc(radius: float, start: float, end: float, centre_x: float = 0.0) -> Polygon:
    angles = np.linspace(start, end, _ARC_POINTS)
    return np.stack([centre_x + radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _corners(*radii: float) -> Polygon:
    # Corners at even angles from the top, the radii taken in turn.
    angles = -math.pi / 2 + 2 * math.pi * np.arange(len(radii)) / len(radii)
    corners: Polygon = np.asarray(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return corners


def _heart() -> Polygon:
    turn = np.linspace(0, 2 * math.pi, _ARC_POINTS, endpoint=False)
    x = 16 * np.sin(turn) ** 3
    y = -(13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn))
    return np.stack([x, y - (y.max() + y.min()) / 2], axis=1)


def _crescent() -> Polygon:
    # The bite is a circle of radius 0.85 shifted to the right; both arcs meet in the two horns.
    shift, bite = 0.48, 0.85
    x = (1 + shift**2 - bite**2) / (2 * shift)
    horn = math.acos(x)
    inner_horn = math.atan2(math.sin(horn), x - shift)
    return np.concatenate([_arc(1, horn, 2 * math.pi - horn), _arc(bite, 2 * math.pi - inner_horn, inner_horn, shift)])


def _ring() -> Polygon:
    # One closed line: around the rim, along a seam of no width, back around the hole.
    return np.concatenate([_arc(1, 0, 2 * math.pi), _arc(0.56, 2 * math.pi, 0)])


def _cross() -> Polygon:
    arm = 0.32
    quarter = np.array([[arm, -1], [arm, -arm], [1, -arm]])
    turns = [quarter]
    for _ in range(3):
        turns.append(np.stack([-turns[-1][:, 1], turns[-1][:, 0]], axis=1))
    return np.concatenate(turns)


def _inside_unit_circle(points: Polygon) -> Polygon:
    outline: Polygon = points / np.hypot(points[:, 0], points[:, 1]).max()
    outline.setflags(write=False)
    return outline


_DRAWN: Final[dict[Shape, Polygon]] = {
    "circle": _arc(1, 0, 2 * math.pi),
    "square": _corners(1, 1, 1, 1) @ np.array([[1, 1], [-1, 1]]),
    "triangle": _corners(1, 1, 1),
    "star": _corners(*(1, 0.42) * 5),
    "heart": _heart(),
    "cross": _cross(),
    "ring": _ring(),
    "crescent": _crescent(),
    "arrow": np.array([[1, 0], [0.05, -0.9], [0.05, -0.36], [-0.95, -0.36], [-0.95, 0.36], [0.05, 0.36], [0.05, 0.9]]),
    "hourglass": np.array([[-0.8, -1], [0.8, -1], [0.16, 0], [0.8, 1], [-0.8, 1], [-0.16, 0]]),
}
OUTLINES: Final[dict[Shape, Polygon]] = {shape: _inside_unit_circle(points) for shape, points in _DRAWN.items()}
