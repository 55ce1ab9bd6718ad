import numpy as np
import pytest

from pipeline.synthetic.background import tinted
from pipeline.synthetic.layout import layout_of, pose
from pipeline.synthetic.render import render_frame
from pipeline.synthetic.scene import Scene, Thing, sample_scene
from pipeline.synthetic.vocabulary import COLOURS, MOTIONS, PATTERNS, SHAPES


def scenes(number, seed=0):
    rng = np.random.default_rng(seed)
    return [sample_scene(rng) for _ in range(number)]


def near(frame, rgb, tolerance=60):
    return np.linalg.norm(frame.astype(int) - rgb, axis=2) < tolerance


def test_equal_scenes_give_equal_pixels():
    for scene in scenes(20):
        assert np.array_equal(render_frame(scene, 1.5, 48), render_frame(scene, 1.5, 48))


def test_frames_are_uint8_rgb_at_any_size_and_own_their_pixels():
    for size_px in (16, 33, 64, 224):
        frame = render_frame(scenes(1)[0], 0.0, size_px)
        assert (frame.shape, frame.dtype, frame.flags.owndata or frame.flags.writeable) == (
            (size_px, size_px, 3),
            np.uint8,
            True,
        )
    with pytest.raises(ValueError, match="size_px=8"):
        render_frame(scenes(1)[0], 0.0, 8)


def test_every_object_shows_its_colour_where_it_stands():
    for scene in scenes(300, seed=1):
        frame = render_frame(scene, 0.7, 64)
        ys, xs = np.mgrid[0:64, 0:64] + 0.5
        centres, radii, _ = pose(scene, 0.7)
        for thing, (x, y), radius in zip(scene.drawn, centres * 64, radii * 64, strict=True):
            inside = (xs - x) ** 2 + (ys - y) ** 2 <= radius**2
            assert (near(frame, tinted(thing.colour, layout_of(scene))) & inside).sum() >= 20, scene


def test_small_objects_survive_at_64_pixels_in_every_colour_and_shape():
    for i, shape in enumerate(SHAPES):
        for j, colour in enumerate(COLOURS):
            background = COLOURS[(j + 1 + i % 9) % 10]
            scene = Scene(
                things=(Thing(shape=shape, colour=colour, size="small"),),
                pattern=PATTERNS[(i + j) % 5],
                background=background,
                motion="still",
                layout_seed=10 * i + j,
            )
            empty = render_frame(scene, 0.0, 64)
            (x, y), radius = pose(scene, 0.0)[0][0] * 64, 6.4
            box = empty[int(y - radius) : int(y + radius) + 1, int(x - radius) : int(x + radius) + 1]
            assert near(box, tinted(colour, layout_of(scene)), 40).sum() >= 25, scene


@pytest.mark.parametrize("motion", MOTIONS)
def test_motion_is_seen_unless_the_scene_is_still(motion):
    star = Thing(shape="star", colour="red", size="large")
    for seed in range(10):
        scene = Scene(things=(star,), pattern="dotted", background="teal", motion=motion, layout_seed=seed)
        frames = [render_frame(scene, time_s, 64).astype(int) for time_s in (0.0, 0.4, 0.8)]
        moved = max(int((np.abs(frames[0] - frame).max(axis=2) > 60).sum()) for frame in frames[1:])
        assert (moved > 20) == (motion != "still")


def test_the_picture_is_the_same_at_another_size():
    for scene in scenes(30, seed=2):
        small = render_frame(scene, 0.0, 64).astype(float)
        large = render_frame(scene, 0.0, 256).astype(float).reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
        assert np.abs(small - large).mean() < 4, scene
