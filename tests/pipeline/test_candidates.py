from hypothesis import given
from hypothesis import strategies as st

from pipeline.candidates import unite

rankings = st.lists(st.sampled_from("abcdefghijklmnop"), unique=True)


@given(rankings, rankings, st.integers(0, 20))
def test_no_candidate_comes_twice_and_none_is_left_out_below_the_limit(coarse, frames, limit):
    united = unite(coarse, frames, limit)
    assert len(united) == len(set(united)) == min(limit, len({*coarse, *frames}))


@given(rankings, rankings, st.integers(0, 20))
def test_each_ranking_brings_at_least_its_best_half(coarse, frames, limit):
    united = unite(coarse, frames, limit)
    assert set(coarse[: (limit + 1) // 2]) <= set(united)
    assert set(frames[: limit // 2]) <= set(united)


@given(rankings, rankings, st.integers(0, 20))
def test_a_smaller_limit_gives_a_prefix(coarse, frames, limit):
    assert unite(coarse, frames, limit) == unite(coarse, frames, 99)[:limit]


@given(rankings, st.integers(0, 20))
def test_two_equal_rankings_are_as_one(ranking, limit):
    assert unite(ranking, ranking, limit) == unite(ranking, [], limit) == ranking[:limit]
