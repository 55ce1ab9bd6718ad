from dataclasses import fields

import numpy as np
import pytest

from pipeline.synthetic.captions import caption
from pipeline.synthetic.hard_negatives import ATTRIBUTES, changeable, hard_negative
from pipeline.synthetic.layout import layout_of
from pipeline.synthetic.render import render_frame
from pipeline.synthetic.scene import sample_scene

# What each attribute may touch; all else must stay.
TOUCHES = {
    "colour": {"things"},
    "shape": {"things"},
    "size": {"things"},
    "count": {"count"},
    "background": {"pattern", "background"},
    "relation": {"relation"},
}


def changes_of(scene, other):
    return {field.name for field in fields(scene) if getattr(scene, field.name) != getattr(other, field.name)}


def test_exactly_one_attribute_is_wrong():
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(800):
        scene = sample_scene(rng)
        other, attribute = hard_negative(scene, rng)
        seen.add(attribute)

        assert other.key() != scene.key()
        changed = changes_of(scene, other)
        assert len(changed) == 1
        assert changed <= TOUCHES[attribute]
        if changed == {"things"}:
            pairs = [pair for pair in zip(scene.things, other.things, strict=True) if pair[0] != pair[1]]
            assert [changes_of(*pair) for pair in pairs] == [{attribute}]
    assert seen == set(ATTRIBUTES)


def test_the_same_words_tell_the_two_apart():
    rng = np.random.default_rng(2)
    for seed in range(200):
        scene = sample_scene(rng)
        other, _ = hard_negative(scene, rng)

        assert caption(scene, np.random.default_rng(seed)) != caption(other, np.random.default_rng(seed))


def test_the_two_pictures_differ_and_keep_the_untold_look():
    rng = np.random.default_rng(3)
    for _ in range(60):
        scene = sample_scene(rng)
        other, attribute = hard_negative(scene, rng)
        before, after = layout_of(scene), layout_of(other)

        assert (before.tint, before.tilt, before.pattern_angle) == (after.tint, after.tilt, after.pattern_angle)
        difference = np.abs(render_frame(scene, 0.0, 64).astype(int) - render_frame(other, 0.0, 64)).max(axis=2)
        assert (difference > 40).sum() >= 15, (scene, attribute)


def test_an_attribute_can_be_asked_for():
    rng = np.random.default_rng(4)
    for _ in range(50):
        scene = sample_scene(rng)
        for attribute in changeable(scene):
            assert hard_negative(scene, rng, attribute)[1] == attribute
        (absent,) = set(ATTRIBUTES) - set(changeable(scene))
        with pytest.raises(ValueError, match=absent):
            hard_negative(scene, rng, absent)


def test_it_is_a_function_of_scene_and_generator():
    scene = sample_scene(np.random.default_rng(5))

    assert hard_negative(scene, np.random.default_rng(6)) == hard_negative(scene, np.random.default_rng(6))
