import math

import numpy as np

from pipeline.synthetic.layout import pose
from pipeline.synthetic.scene import Scene, Thing, sample_scene
from pipeline.synthetic.shapes import OUTLINES
from pipeline.synthetic.vocabulary import MOTIONS

TIMES_S = np.linspace(0, 8, 33).tolist()


def all_kinds():
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng) for _ in range(400)]
    star = Thing(shape="star", colour="red", size="large")
    crowded = {"things": (star,), "count": 3, "pattern": "plain", "background": "white"}
    return scenes + [Scene(**crowded, motion=motion, layout_seed=seed) for motion in MOTIONS for seed in range(60)]


def test_objects_never_touch_each_other_or_the_border():
    for scene in all_kinds():
        for time_s in TIMES_S:
            centres, radii, _ = pose(scene, time_s)
            assert (centres - radii[:, None] > 0).all(), scene
            assert (centres + radii[:, None] < 1).all(), scene
            for i in range(len(radii)):
                for j in range(i):
                    assert math.dist(centres[i], centres[j]) > radii[i] + radii[j] + 0.02, scene


def test_a_relation_is_true_at_all_times_and_no_other_is():
    for scene in all_kinds():
        if scene.relation is None:
            continue
        for time_s in TIMES_S:
            (first, second), _, _ = pose(scene, time_s)
            right, down = second - first
            true = {"left of": right, "right of": -right, "above": down, "below": -down}
            assert max(true, key=true.get) == scene.relation
            across = down if scene.relation in ("left of", "right of") else right
            assert abs(across) < 0.45 * true[scene.relation]


def test_large_is_larger_than_small_even_while_pulsing():
    small = Thing(shape="star", colour="red", size="small")
    large = Thing(shape="heart", colour="blue", size="large")
    things = {"things": (small, large), "relation": "above", "pattern": "plain", "background": "white"}
    for motion in MOTIONS:
        radii = [pose(Scene(**things, motion=motion), time_s)[1] for time_s in TIMES_S]
        assert max(r[0] for r in radii) * 1.2 < min(r[1] for r in radii)


def test_outlines_stay_in_the_unit_circle_and_touch_it():
    for outline in OUTLINES.values():
        assert math.isclose(np.hypot(*outline.T).max(), 1.0)
