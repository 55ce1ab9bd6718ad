import random
import struct
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from pipeline.decode.picture import fit, shown_size, turn_of, upright

ONE = 1 << 16
TURNS = {
    "": (ONE, 0, 0, ONE),
    "ROTATE_90": (0, -ONE, ONE, 0),
    "ROTATE_180": (-ONE, 0, 0, -ONE),
    "ROTATE_270": (0, ONE, -ONE, 0),
    "FLIP_LEFT_RIGHT": (-ONE, 0, 0, ONE),
    "FLIP_TOP_BOTTOM": (ONE, 0, 0, -ONE),
    "TRANSPOSE": (0, ONE, ONE, 0),
    "TRANSVERSE": (0, -ONE, -ONE, 0),
}


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_fit_is_the_transform_of_open_clip(interpolation):
    from open_clip.transform import image_transform

    rng, pick = np.random.default_rng(0), random.Random(0)
    for _ in range(40):
        height, width, size = pick.randint(1, 500), pick.randint(1, 500), pick.choice([31, 64, 97, 224])
        frame = rng.integers(0, 256, (height, width, 3), np.uint8)
        transform = image_transform(size, is_train=False, mean=(0,) * 3, std=(1,) * 3, interpolation=interpolation)
        expected = (transform(Image.fromarray(frame)) * 255).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal(fit(frame, size, interpolation), expected), (height, width, size)


def test_a_picture_that_fits_is_left_as_it_is():
    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert np.array_equal(fit(frame, 64, "bicubic"), frame)


def test_pixels_that_are_not_square_are_resampled_once():
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[:, 25:75] = 255  # the middle of a picture that is shown 200 wide
    square = fit(frame, 50, "bicubic", (200, 100))
    assert square[:, 2:-2].min() > 250


@pytest.mark.parametrize("turn", TURNS)
def test_a_display_matrix_moves_each_pixel_to_its_place(turn):
    a, b, c, d = TURNS[turn]
    assert turn_of(struct.pack("<9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)) == turn
    stored = np.arange(12, dtype=np.uint8).reshape(3, 4)
    points = {(x, y): ((a * x + c * y) // ONE, (b * x + d * y) // ONE) for y in range(3) for x in range(4)}
    left, top = (min(point[axis] for point in points.values()) for axis in (0, 1))
    shown = np.asarray(upright(Image.fromarray(stored), turn))
    assert all(shown[v - top, u - left] == stored[y, x] for (x, y), (u, v) in points.items())


def test_a_turn_by_no_right_angle_is_left_alone():
    half = round(ONE * 0.7071)
    assert turn_of(struct.pack("<9i", half, half, 0, -half, half, 0, 0, 0, 1 << 30)) == ""


@pytest.mark.parametrize(
    ("aspect", "shown"),
    [(Fraction(2), (200, 50)), (Fraction(1, 2), (100, 100)), (Fraction(0), (100, 50)), (Fraction(1000), (100, 50))],
)
def test_the_short_side_of_a_pixel_grows(aspect, shown):
    assert shown_size(100, 50, aspect, "") == shown
    assert shown_size(100, 50, aspect, "ROTATE_270") == shown[::-1]
