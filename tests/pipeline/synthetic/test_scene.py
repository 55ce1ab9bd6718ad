from dataclasses import replace

import numpy as np
import pytest

from pipeline.synthetic.scene import Scene, Thing, sample_scene
from pipeline.synthetic.vocabulary import COLOURS, MOTIONS, PATTERNS, RELATIONS, RGB, ROUND_SHAPES, SHAPES, SIZES, shade

STAR = Thing(shape="star", colour="red", size="small")
RING = Thing(shape="ring", colour="blue", size="large")


def related(first, relation, second):
    return Scene(things=(first, second), relation=relation, pattern="plain", background="white", motion="still")


def test_sampling_is_a_function_of_the_seed():
    first, second = (np.random.default_rng(11) for _ in range(2))

    assert [sample_scene(first) for _ in range(50)] == [sample_scene(second) for _ in range(50)]


def test_sampling_reaches_the_whole_vocabulary():
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng) for _ in range(600)]
    things = [thing for scene in scenes for thing in scene.things]

    assert {thing.shape for thing in things} == set(SHAPES)
    assert {thing.colour for thing in things} == set(COLOURS) == {scene.background for scene in scenes}
    assert {thing.size for thing in things} == set(SIZES)
    assert {scene.pattern for scene in scenes} == set(PATTERNS)
    assert {scene.motion for scene in scenes} == set(MOTIONS)
    assert {scene.relation for scene in scenes} == {None, *RELATIONS}
    assert {scene.count for scene in scenes} == {1, 2, 3}
    assert not any(scene.motion == "spinning" and ROUND_SHAPES & {t.shape for t in scene.things} for scene in scenes)


def test_one_caption_for_both_ways_to_say_a_relation():
    assert related(STAR, "left of", RING).key() == related(RING, "right of", STAR).key()
    assert related(STAR, "above", RING).key() == related(RING, "below", STAR).key()
    assert related(STAR, "left of", RING).key() != related(RING, "left of", STAR).key()


@pytest.mark.parametrize(
    "wrong",
    [
        {"background": "red"},
        {"count": 4},
        {"relation": "above"},
        {"things": (STAR, RING)},
        {"things": (RING,), "motion": "spinning"},
    ],
)
def test_a_scene_that_no_picture_could_show_is_refused(wrong):
    scene = Scene(things=(STAR,), pattern="plain", background="white", motion="still")

    with pytest.raises(ValueError, match=r"\w"):
        replace(scene, **wrong)


def test_colours_stay_apart_from_each_other_and_from_all_backgrounds():
    for name, rgb in RGB.items():
        for other in set(RGB) - {name}:
            assert np.linalg.norm(np.subtract(rgb, RGB[other])) > 75, (name, other)
            assert np.linalg.norm(np.subtract(rgb, shade(other))) > 60, (name, other)
