from collections import Counter

import pytest

from pipeline.synthetic.plan import plan_videos, split_of
from pipeline.synthetic.timeline import sampled_frames
from schemas.data_config import DataConfig
from schemas.errors import ConfigError


def plans(**settings):
    return list(plan_videos(DataConfig.of({"out": "unused", **settings})))


def test_a_smaller_set_is_the_start_of_a_larger_one():
    assert plans(videos=8, seed=4) == plans(videos=20, seed=4)[:8]
    assert plans(videos=8, seed=4) != plans(videos=8, seed=5)


def test_no_scene_and_no_caption_comes_twice():
    made = plans(videos=1500)
    captions = [text for plan in made for text in plan.captions]
    keys = [scene.key() for plan in made for scene in plan.scenes]

    assert len(set(captions)) == len(captions) == 4500
    assert len(set(keys)) == 4500


def test_main_scene_and_events_keep_their_shares_and_lengths():
    for plan in plans(videos=200):
        frames = sampled_frames(plan.timeline.num_frames)
        counts = Counter(plan.timeline.scene_at(frame) for frame in frames)
        assert 6 <= counts[0] <= 8
        assert {counts[1], counts[2]} <= {2, 3}
        assert 5.9 < plan.timeline.duration_s < 8.1


def test_queries_say_where_each_scene_is():
    for plan in plans(videos=50):
        gist, *needles = plan.queries()
        assert (gist["group"], gist["start_s"], gist["end_s"]) == ("gist", 0.0, round(plan.timeline.duration_s, 3))
        for number, needle in enumerate(needles, 1):
            assert needle["group"] == "needle"
            middle = round((needle["start_s"] + needle["end_s"]) / 2 * plan.timeline.fps)
            assert plan.timeline.scene_at(middle) == number
            assert needle["attributes"] == plan.scenes[number].attributes()
        assert {query["video"] for query in plan.queries()} == {plan.name}


def test_queries_say_how_many_sampled_frames_show_their_scene():
    lengths = set()
    for plan in plans(videos=60, event_frames=[1, 2, 3, 4, 6]):
        counts = Counter(plan.timeline.scene_at(frame) for frame in sampled_frames(plan.timeline.num_frames))
        gist, *needles = plan.queries()
        assert gist["main_frames"] == counts[0]
        assert [needle["event_frames"] for needle in needles] == [counts[1], counts[2]]
        lengths |= {needle["event_frames"] for needle in needles}
    assert lengths == {1, 2, 3, 4, 6}


def test_splits_come_close_to_their_fractions_in_a_small_set():
    splits = Counter(split_of(index, 0.1, 0.2) for index in range(20))

    assert 3 <= splits["test"] <= 5
    assert 1 <= splits["val"] <= 3


def test_a_set_of_test_videos_only_needs_one_setting():
    assert {plan.split for plan in plans(videos=30, test_fraction=1.0)} == {"test"}
    assert DataConfig(out="unused", test_fraction=0.95).val_fraction == pytest.approx(0.05)
    assert DataConfig(out="unused").val_fraction == 0.1


@pytest.mark.parametrize(
    "settings",
    [
        {"events": 2, "event_frames": [1, 4]},
        {"events": 1, "event_frames": [6]},
        {"events": 4, "event_frames": [2]},
        {"events": 2, "event_frames": [1, 2, 3, 4, 6]},
        {"events": 0},
        {"fps": 8, "min_seconds": 6, "max_seconds": 6},
        {"events": 1, "event_frames": [10]},
    ],
)
def test_every_accepted_setting_can_be_planned(settings):
    for plan in plans(videos=20, **settings):
        assert len(plan.scenes) == 1 + settings.get("events", 2)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"events": 2, "event_frames": [6]}, "event_frames"),
        ({"event_frames": []}, "event_frames"),
        ({"event_frames": [0]}, "event_frames"),
        ({"events": 4}, "event_frames"),
        ({"min_seconds": 2}, "min_seconds"),
        ({"fps": 6}, "min_seconds"),
        ({"max_seconds": 5}, "max_seconds"),
        ({"val_fraction": 0.9}, "test_fraction"),
        ({"size_px": 65}, "size_px"),
        ({"videos": 0}, "videos"),
        ({"colour": "red"}, "unknown setting 'colour'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(settings, named):
    with pytest.raises(ConfigError, match=named):
        plans(**settings)


def test_a_hard_negative_says_something_else_in_nearly_the_same_words():
    for plan in plans(videos=300):
        assert len(plan.hard_negatives) == len(plan.captions)
        for true, wrong in zip(plan.captions, plan.hard_negatives, strict=True):
            assert 0 < len(set(true.split()) ^ set(wrong.split())) <= 6
        assert not set(plan.captions) & set(plan.hard_negatives)
        assert [query["hard_negative"] for query in plan.queries()] == list(plan.hard_negatives)
