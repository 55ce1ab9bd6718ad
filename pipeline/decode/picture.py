"""From a stored picture to the model's square, with Pillow alone: turned upright, square pixels, resized, cropped.

For square pixels it gives the bytes of open_clip's validation transform before normalisation: torchvision's
Resize(short side) and CenterCrop on a PIL image are these very calls.
"""

import math
import struct
from fractions import Fraction

import numpy as np
from PIL import Image

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
# A display matrix maps a stored point (x, y) to (a x + c y, b x + d y); y points down. Key: the signs of a, b, c, d.
_TURNS = {
    (1, 0, 0, 1): "",
    (0, 1, -1, 0): "ROTATE_270",
    (0, -1, 1, 0): "ROTATE_90",
    (-1, 0, 0, -1): "ROTATE_180",
    (-1, 0, 0, 1): "FLIP_LEFT_RIGHT",
    (1, 0, 0, -1): "FLIP_TOP_BOTTOM",
    (0, 1, 1, 0): "TRANSPOSE",
    (0, -1, -1, 0): "TRANSVERSE",
}
ROTATIONS = ("", "ROTATE_90", "ROTATE_180", "ROTATE_270")
_SWAPS_SIDES = ("ROTATE_90", "ROTATE_270", "TRANSPOSE", "TRANSVERSE")
_MAX_ASPECT = 8  # beyond it the header is taken for nonsense, not for anamorphic video


def turn_of(matrix: bytes) -> str:
    """The PIL transposition that a display matrix asks for; a turn by no right angle is left alone.

    Args:
        matrix: nine little-endian int32, as FFmpeg keeps them: a b u c d v x y w.

    >>> turn_of(struct.pack("<9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30))
    'ROTATE_270'
    """
    a, b, _, c, d, *_ = struct.unpack("<9i", matrix)
    largest = max(abs(a), abs(b), abs(c), abs(d)) or 1
    return _TURNS.get(tuple(round(value / largest) for value in (a, b, c, d)), "")


def shown_size(width: int, height: int, aspect: Fraction | None, turn: str) -> tuple[int, int]:
    """The size of a picture as shown: the shorter side of a pixel grows, so no line is lost, then it is turned.

    Args:
        width: stored.
        height: stored.
        aspect: width of a stored pixel over its height; None or nonsense counts as 1.
        turn: as `turn_of` gives it.

    >>> shown_size(720, 576, Fraction(16, 15), "")
    (768, 576)
    >>> shown_size(640, 360, None, "ROTATE_90")
    (360, 640)
    """
    factor = float(aspect or 1)
    if 1 / _MAX_ASPECT <= factor <= _MAX_ASPECT:
        width, height = round(width * max(factor, 1.0)), round(height / min(factor, 1.0))
    return (height, width) if turn in _SWAPS_SIDES else (width, height)


def upright(image: Image.Image, turn: str) -> Image.Image:
    """A stored picture turned as `turn` says."""
    return image.transpose(Image.Transpose[turn]) if turn else image


def resized(shown: tuple[int, int], size: int, turn: str = "") -> tuple[int, int]:
    """Width and height of a picture whose short side becomes `size`, before it is turned.

    Args:
        shown: width and height as shown.
        size: of the short side.
        turn: as `turn_of` gives it.

    >>> resized((640, 360), 90), resized((640, 360), 90, "ROTATE_90")
    ((160, 90), (90, 160))
    """
    # In whole numbers as torchvision has it: int(size * long / short).
    width, height = (math.floor(size * side / min(shown)) for side in shown)
    return (height, width) if turn in _SWAPS_SIDES else (width, height)


def fit(
    frame: Image.Image | np.ndarray, size: int, interpolation: str, shown: tuple[int, int] | None = None
) -> np.ndarray:
    """Resize the short side to `size`, then cut the middle square.

    Args:
        frame: an upright RGB picture, or uint8 (H, W, 3).
        size: side of the square.
        interpolation: 'bicubic' or 'bilinear', both with anti-aliasing.
        shown: width and height as shown, if pixels are not square; the picture is resampled once, not twice.

    Returns:
        uint8 (size, size, 3).

    >>> fit(np.zeros((90, 160, 3), np.uint8), 32, "bicubic").shape
    (32, 32, 3)
    """
    image = frame if isinstance(frame, Image.Image) else Image.fromarray(frame)
    target = resized(shown or image.size, size)
    if image.size != target:
        image = image.resize(target, _FILTERS[interpolation])
    left, top = (round((side - size) / 2.0) for side in target)
    return np.asarray(image.crop((left, top, left + size, top + size)).convert("RGB"))
