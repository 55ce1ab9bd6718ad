import itertools
import math
import random

import pytest

from pipeline.sampling import (
    check_rule,
    clip_spans,
    count_clips,
    frames_in_span,
    sampler_name,
    scene_spans,
    uniform_indices,
)
from schemas.errors import ConfigError


@pytest.mark.parametrize("num_samples", [1, 2, 7, 12])
def test_indices_are_the_formula(num_samples):
    for n in range(num_samples + 1, 400):
        expected = [math.floor((i + 0.5) * n / num_samples) for i in range(num_samples)]
        assert uniform_indices(n, num_samples) == expected


@pytest.mark.parametrize("n", [0, 1, 5, 12])
def test_a_short_span_gives_each_frame_once(n):
    assert uniform_indices(n, 12) == list(range(n))


def test_indices_are_exact_for_huge_counts():
    assert uniform_indices(10**17 + 1, 2) == [(10**17 + 1) // 4, 3 * (10**17 + 1) // 4]


def test_spans_tile_the_video_and_none_is_short():
    rng = random.Random(0)
    for _ in range(500):
        duration_s, seconds = rng.uniform(0.01, 100), rng.choice([0.5, 1.0, 2.5, 10.0])
        spans = clip_spans(duration_s, f"fixed:{seconds}")
        assert len(spans) == count_clips(duration_s, f"fixed:{seconds}")
        assert spans[0][0] == 0.0
        assert spans[-1][1] == duration_s
        assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
        if duration_s >= seconds / 2:
            assert all(seconds / 2 <= end - start < seconds * 1.5 + 1e-9 for start, end in spans)


def test_every_frame_belongs_to_exactly_one_span():
    times_s = [i / 25 for i in range(251)]
    spans = clip_spans(10.04, "fixed:2.5")
    found = [index for span in spans for index in frames_in_span(times_s, *span)]
    assert found == list(range(251))


def test_scenes_tile_the_video_and_none_is_short():
    rng = random.Random(1)
    for _ in range(300):
        duration_s = rng.uniform(0.01, 60)
        starts = sorted(rng.uniform(0, duration_s) for _ in range(rng.randrange(40)))
        spans = scene_spans(duration_s, starts)
        assert (spans[0][0], spans[-1][1]) == (0.0, duration_s)
        assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
        assert {start for start, _ in spans[1:]} <= set(starts)
        assert len(spans) == 1 or all(end - start >= 1.0 for start, end in spans)


@pytest.mark.parametrize("rule", ["whole", "fixed:2.5", "scenes", "scenes:30"])
def test_a_known_rule_passes(rule):
    assert check_rule(rule) is None


@pytest.mark.parametrize(
    "rule", ["", "scenes:", "scenes:0", "scene", "fixed", "fixed:", "fixed:0", "fixed:-1", "fixed:nan", "fixed:inf"]
)
def test_an_unknown_rule_is_the_callers_mistake(rule):
    with pytest.raises(ConfigError, match="fixed:SECONDS"):
        check_rule(rule)


def test_the_samplers_name_says_how_many():
    assert sampler_name(8) == "uniform-segment-8"
