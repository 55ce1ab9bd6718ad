"""A scene at a time as a picture: an anti-aliased background with supersampled objects on it."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.synthetic.background import draw_background, tinted
from pipeline.synthetic.layout import layout_of, pose
from pipeline.synthetic.scene import Scene
from pipeline.synthetic.shapes import OUTLINES
from pipeline.synthetic.vocabulary import Rgb, Shape

_SUPERSAMPLING = 4
MIN_SIZE_PX = 16


def render_frame(scene: Scene, t: float, size_px: int) -> NDArray[np.uint8]:
    """Draw a scene.

    Args:
        scene: what to draw.
        t: time in seconds; only the motion depends on it.
        size_px: side of the square picture.

    Returns:
        RGB, uint8, (size_px, size_px, 3).

    Raises:
        ValueError: the picture would be too small to show a small object.

    >>> from pipeline.synthetic.scene import sample_scene
    >>> render_frame(sample_scene(np.random.default_rng(0)), 0.0, 64).shape
    (64, 64, 3)
    """
    if size_px < MIN_SIZE_PX:
        raise ValueError(f"{size_px=}: at least {MIN_SIZE_PX}")
    picture = Image.fromarray(_background(scene, size_px))
    centres_N2, radii_N, angle = pose(scene, t)
    layout = layout_of(scene)
    for thing, centre, radius in zip(scene.drawn, centres_N2.tolist(), radii_N.tolist(), strict=True):
        _paste(picture, thing.shape, tinted(thing.colour, layout), centre, radius, angle)
    return np.array(picture)


@lru_cache(maxsize=8)
def _background(scene: Scene, size_px: int) -> NDArray[np.uint8]:
    # It never moves, so the frames of one scene share it.
    return draw_background(scene.pattern, scene.background, layout_of(scene), size_px)


def _paste(
    picture: Image.Image, shape: Shape, rgb: Rgb, centre: tuple[float, float], radius: float, angle: float
) -> None:
    """Fill one shape; lengths are shares of the picture's side."""
    size_px = picture.width
    x, y, radius_px = centre[0] * size_px, centre[1] * size_px, radius * size_px
    left, top = math.floor(x - radius_px), math.floor(y - radius_px)
    width, height = math.ceil(x + radius_px) - left, math.ceil(y + radius_px) - top
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]]) * (radius_px * _SUPERSAMPLING)
    # Pillow's coordinates name the middles of pixels, hence the half.
    offset = np.array([x - left, y - top]) * _SUPERSAMPLING - 0.5
    mask = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
    ImageDraw.Draw(mask).polygon((OUTLINES[shape] @ turn + offset).ravel().tolist(), fill=255)
    picture.paste(rgb, (left, top), mask.reduce(_SUPERSAMPLING))
