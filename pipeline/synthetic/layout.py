"""Where the objects of a scene stand and how they move: never over each other, never out of the picture."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.scene import Scene
from pipeline.synthetic.vocabulary import RADIUS

_EDGE = 0.02  # kept free along the border and between objects, as a share of the side
_GAP = 0.04
_DRIFT = 0.085
_PULSE = 0.18
_DRIFT_PERIOD_S, _PULSE_PERIOD_S, _TURNS_PER_S = 2.4, 1.6, 0.35
_TRIES = 48
_MAX_TILT = math.radians(18)

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Layout:
    """What a caption does not tell. Lengths are shares of the picture's side, angles are radians.

    Attributes:
        centres_N2: (x, y) of each drawn object at rest, y pointing down.
        radii_N: of the circle around each.
        tilt: at rest.
        phase: of the motion, 0 to 2 pi.
        drift_angle: direction in which a drifting scene goes back and forth.
        tint: added to all colours, in 8-bit steps.
        pattern_angle: of stripes, checks and gradients.
        pattern_scale: 0.8 to 1.25.
        pattern_shift: (x, y), in periods of the pattern.
    """

    centres_N2: Points
    radii_N: Points
    tilt: float
    phase: float
    drift_angle: float
    tint: tuple[int, int, int]
    pattern_angle: float
    pattern_scale: float
    pattern_shift: tuple[float, float]


@lru_cache(maxsize=256)
def layout_of(scene: Scene) -> Layout:
    """The layout that the scene's `layout_seed` stands for.

    The look is drawn before the places, so that scenes that differ in one attribute look alike in all else.
    """
    rng = np.random.default_rng(scene.layout_seed)
    look = rng.random(8)
    tint = rng.integers(-10, 11, 3)
    radii = np.array([RADIUS[thing.size] for thing in scene.drawn])
    drift_angle = float(look[2] * 2 * math.pi)
    centres = _place(scene, radii, drift_angle, rng)
    centres.setflags(write=False)
    return Layout(
        centres_N2=centres,
        radii_N=radii,
        tilt=float((look[0] * 2 - 1) * _MAX_TILT),
        phase=float(look[1] * 2 * math.pi),
        drift_angle=drift_angle,
        tint=(int(tint[0]), int(tint[1]), int(tint[2])),
        pattern_angle=float(look[3] * math.pi),
        pattern_scale=float(0.8 + 0.45 * look[4]),
        pattern_shift=(float(look[5]), float(look[6])),
    )


def _place(scene: Scene, radii: Points, drift_angle: float, rng: np.random.Generator) -> Points:
    """Centres, (N, 2): the first of many draws that keeps all distances, else a draw known to."""
    reach = radii * (1 + _PULSE if scene.motion == "pulsing" else 1.0)
    sway = _DRIFT if scene.motion == "drifting" else 0.0
    margin_N2 = reach[:, None] + _EDGE + sway * np.abs([math.cos(drift_angle), math.sin(drift_angle)])
    draws = rng.random((_TRIES, len(radii), 2))
    if scene.relation is not None:
        return _place_related(scene.relation, margin_N2, reach, draws[0])
    room_N2 = 1 - 2 * margin_N2
    for draw in draws:
        centres: Points = margin_N2 + draw * room_N2
        if _apart(centres, reach):
            return centres
    # Three large ones fit, but not by luck: the corners of a triangle that points up or down.
    corners = np.array([[0.0, 1.0], [1.0, 1.0], [0.5, 0.0]])[: len(radii)]
    corners[:, 1] = corners[:, 1] if draws[0, 0, 0] < 0.5 else 1 - corners[:, 1]  # noqa: PLR2004  (a coin)
    return np.asarray(margin_N2 + corners * room_N2, dtype=np.float64)


def _place_related(relation: str, margin_N2: Points, reach: Points, draw_N2: Points) -> Points:
    """Two centres apart along the relation's axis and nearly level across it, so that only one word is true."""
    along = 0 if relation in ("left of", "right of") else 1
    first, second = (0, 1) if relation in ("left of", "above") else (1, 0)
    low, high = margin_N2[first, along], 1 - margin_N2[second, along]
    spare = high - low - (reach.sum() + _GAP)
    centres = np.empty((2, 2))
    centres[first, along] = low + spare * draw_N2[0, 0] / 2
    centres[second, along] = high - spare * draw_N2[0, 1] / 2
    margin = margin_N2[:, 1 - along].max()
    level = margin + draw_N2[1, 0] * (1 - 2 * margin)
    slack = min(0.05, level - margin, 1 - margin - level)
    centres[:, 1 - along] = level + np.array([slack, -slack]) * (draw_N2[1, 1] * 2 - 1)
    return centres


def _apart(centres_N2: Points, reach_N: Points) -> bool:
    for i in range(len(reach_N)):
        for j in range(i):
            gap = math.dist(centres_N2[i], centres_N2[j]) - reach_N[i] - reach_N[j]
            if gap < _GAP:
                return False
    return True


def pose(scene: Scene, time_s: float) -> tuple[Points, Points, float]:
    """Centres (N, 2), radii (N,) and angle of all objects at a time, in shares of the side and radians."""
    layout = layout_of(scene)
    if scene.motion == "drifting":
        sway = _DRIFT * math.sin(layout.phase + 2 * math.pi * time_s / _DRIFT_PERIOD_S)
        step = np.array([math.cos(layout.drift_angle), math.sin(layout.drift_angle)]) * sway
        return layout.centres_N2 + step, layout.radii_N, layout.tilt
    if scene.motion == "pulsing":
        swell = 1 + _PULSE * math.sin(layout.phase + 2 * math.pi * time_s / _PULSE_PERIOD_S)
        return layout.centres_N2, layout.radii_N * swell, layout.tilt
    turn = layout.phase + 2 * math.pi * _TURNS_PER_S * time_s if scene.motion == "spinning" else 0.0
    return layout.centres_N2, layout.radii_N, layout.tilt + turn
