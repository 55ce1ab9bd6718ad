"""Patterned backgrounds, anti-aliased by formula: at any size, without drawing at a larger one."""

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.layout import Layout
from pipeline.synthetic.vocabulary import RGB, Colour, Pattern, Rgb, shade

Plane = NDArray[np.float32]
# Periods as shares of the side: below an object's size, so that no stripe or dot passes for an object.
_STRIPE_PERIOD, _CHECK_PERIOD, _DOT_PERIOD = 0.17, 0.28, 0.135
_DOT_RADIUS = 0.27  # in periods


def draw_background(pattern: Pattern, colour: Colour, layout: Layout, size_px: int) -> NDArray[np.uint8]:
    """The background as uint8, (size_px, size_px, 3)."""
    light = _tinted(RGB[colour], layout)
    if pattern == "plain":
        return np.broadcast_to(light.astype(np.uint8), (size_px, size_px, 3)).copy()
    dark = _tinted(shade(colour), layout)
    mix_HW = _MIXES[pattern](layout, size_px)
    picture: NDArray[np.uint8] = (light + mix_HW[:, :, None] * (dark - light) + np.float32(0.5)).astype(np.uint8)
    return picture


def tinted(colour: Colour, layout: Layout) -> Rgb:
    """An object's colour in this scene."""
    red, green, blue = (int(value) for value in _tinted(RGB[colour], layout))
    return red, green, blue


def _tinted(rgb: Rgb, layout: Layout) -> NDArray[np.float32]:
    return np.clip(np.add(rgb, layout.tint), 0, 255).astype(np.float32)


def _axes(layout: Layout, size_px: int, period: float, angle: float) -> tuple[Plane, Plane, float]:
    """Coordinates along two turned axes in periods, each (H, W), and periods per pixel."""
    per_px = 1 / (period * layout.pattern_scale * size_px)
    steps = (np.arange(size_px, dtype=np.float32) + 0.5) * per_px
    cos, sin = math.cos(angle), math.sin(angle)
    along = (steps * cos)[None, :] + (steps * sin + layout.pattern_shift[0])[:, None]
    across = (steps * -sin)[None, :] + (steps * cos + layout.pattern_shift[1])[:, None]
    return along.astype(np.float32), across.astype(np.float32), per_px


def _square_wave(position: Plane, per_px: float) -> Plane:
    """+1 and -1 in turn, one period a unit, with edges one pixel wide."""
    distance = np.abs(position - np.floor(position) - np.float32(0.5)) - np.float32(0.25)
    wave: Plane = np.clip(distance * np.float32(2 / per_px), -1, 1)
    return wave


def _stripes(layout: Layout, size_px: int) -> Plane:
    along, _, per_px = _axes(layout, size_px, _STRIPE_PERIOD, layout.pattern_angle)
    return (_square_wave(along, per_px) + 1) * np.float32(0.5)


def _checks(layout: Layout, size_px: int) -> Plane:
    # Upright within 20 degrees: turned further, checks would read as diamonds.
    along, across, per_px = _axes(layout, size_px, _CHECK_PERIOD, (layout.pattern_angle / math.pi - 0.5) * 0.7)
    return (_square_wave(along, per_px) * _square_wave(across, per_px) + 1) * np.float32(0.5)


def _dots(layout: Layout, size_px: int) -> Plane:
    along, across, per_px = _axes(layout, size_px, _DOT_PERIOD, layout.pattern_angle)
    distance = np.hypot(along - np.floor(along) - 0.5, across - np.floor(across) - 0.5)
    return np.asarray(np.clip((_DOT_RADIUS - distance) / per_px + 0.5, 0, 1), dtype=np.float32)


def _gradient(layout: Layout, size_px: int) -> Plane:
    angle = layout.pattern_angle * 2
    steps = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px - 0.5
    along = (steps * math.cos(angle))[None, :] + (steps * math.sin(angle))[:, None]
    span = abs(math.cos(angle)) + abs(math.sin(angle))
    # Past 1, so that the dark end is plainly darker than the second tone of the other patterns.
    return np.asarray((along / span + 0.5) * 1.4, dtype=np.float32)


_MIXES = {"striped": _stripes, "checkered": _checks, "dotted": _dots, "gradient": _gradient}
