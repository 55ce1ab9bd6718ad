from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from pipeline.synthetic.timeline import MAIN, NUM_SLOTS, sample_timeline, sampled_frames


def sampled_scenes(timeline):
    return [timeline.scene_at(frame) for frame in sampled_frames(timeline.num_frames)]


@pytest.mark.parametrize(
    ("num_events", "length"), [(1, 1), (2, 1), (2, 2), (2, 3), (2, 4), (1, 4), (1, 6), (3, 3), (4, 2)]
)
@pytest.mark.parametrize("num_frames", [48, 77, 96, 191])
def test_each_event_fills_exactly_its_share_of_the_sampled_frames(num_events, length, num_frames):
    for seed in range(40):
        timeline = sample_timeline(np.random.default_rng(seed), num_frames, 12, num_events, (length,))
        counts = Counter(sampled_scenes(timeline))

        assert counts.pop(MAIN) == NUM_SLOTS - num_events * length
        assert counts == {event: length for event in range(1, num_events + 1)}


def test_mixed_lengths_are_all_drawn_and_always_fit_together():
    seen = Counter()
    for seed in range(400):
        timeline = sample_timeline(np.random.default_rng(seed), 80, 12, 2, (1, 2, 3, 4, 6))
        lengths = [timeline.slots(event) for event in (1, 2)]
        assert timeline.slots(MAIN) == NUM_SLOTS - sum(lengths) >= 2
        assert [sampled_scenes(timeline).count(event) for event in (1, 2)] == lengths
        seen.update(lengths)

    assert set(seen) == {1, 2, 3, 4, 6}
    assert min(seen.values()) > 100


def test_shots_cover_the_video_and_events_are_parted_by_the_main_scene():
    for seed in range(100):
        timeline = sample_timeline(np.random.default_rng(seed), 80, 12, 2, (2, 3))
        shots = timeline.shots

        assert (shots[0].start, shots[-1].end) == (0, 80)
        assert all(a.end == b.start for a, b in pairwise(shots))
        assert all(MAIN in (a.scene, b.scene) for a, b in pairwise(shots))
        assert [shot.scene for shot in shots if shot.scene != MAIN] == [1, 2]
        start_s, end_s = timeline.span_s(1)
        assert {timeline.scene_at(f) for f in range(round(start_s * 12), round(end_s * 12))} == {1}


def test_events_come_early_and_late():
    timelines = [sample_timeline(np.random.default_rng(seed), 80, 12, 2, (2, 3)) for seed in range(200)]

    assert {timeline.shots[0].scene for timeline in timelines} == {MAIN, 1}
    assert {timeline.shots[-1].scene for timeline in timelines} == {MAIN, 2}


def test_without_events_the_main_scene_is_all():
    timeline = sample_timeline(np.random.default_rng(0), 80, 12, 0, (2,))

    assert (len(timeline.shots), timeline.duration_s) == (1, 80 / 12)


@pytest.mark.parametrize(("num_frames", "num_events", "length"), [(80, 2, 6), (80, 1, 11), (47, 1, 2)])
def test_what_cannot_be_laid_out_is_refused(num_frames, num_events, length):
    with pytest.raises(ValueError, match=r"num_events=|num_frames="):
        sample_timeline(np.random.default_rng(0), num_frames, 12, num_events, (length,))
