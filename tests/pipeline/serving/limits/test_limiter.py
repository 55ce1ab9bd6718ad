"""As many searches are admitted as are answered in time, at any speed; one more is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.serving.errors import FailureError
from pipeline.serving.limits.limiter import Limiter

positive = st.floats(0.1, 1e5)


def steady(each_ms, wait_ms=250.0, answers=200):
    """A limiter behind which the machine makes one answer in `each_ms`, kept full."""
    limiter = Limiter(wait_ms, least=4, most=64)
    for _ in range(answers):
        limiter.note(each_ms * limiter.limit, limiter.limit)
    return limiter


@pytest.mark.parametrize(("each_ms", "limit"), [(5, 50), (10, 25), (25, 10), (1, 64), (200, 4)])
def test_under_full_load_the_limit_is_the_wait_over_the_time_of_one(each_ms, limit):
    assert steady(each_ms).limit == pytest.approx(limit, abs=1)


def test_it_follows_a_machine_that_becomes_slower_and_faster():
    limiter = steady(5)
    for each_ms, limit in ((50, 5), (5, 50)):
        for _ in range(300):
            limiter.note(each_ms * limiter.limit, limiter.limit)
        assert limiter.limit == pytest.approx(limit, abs=1)


def test_a_single_outlier_changes_little():
    limiter = steady(10)
    limiter.note(60_000, 1)
    assert limiter.limit >= 20


@given(st.lists(st.tuples(positive, positive), max_size=50))
def test_the_limit_never_leaves_its_bounds(answers):
    limiter = Limiter(250, least=4, most=64)
    for spent_ms, shared_by in answers:
        limiter.note(spent_ms, shared_by)
        assert 4 <= limiter.limit <= 64


def test_who_is_refused_changes_nothing_and_who_leaves_makes_room():
    limiter = Limiter(250, least=2, most=2)
    with limiter.admitted(), limiter.admitted():
        for _ in range(3):
            with pytest.raises(FailureError) as caught, limiter.admitted():
                raise AssertionError("it was admitted")
            assert caught.value.failure.detail.code == "overloaded"
        assert limiter.under_way == 2
    assert (limiter.under_way, limiter.is_full) == (0, False)


def test_a_failure_leaves_and_teaches_nothing():
    limiter = steady(10)
    before = limiter.limit
    for _ in range(100):
        with pytest.raises(KeyError), limiter.admitted():
            raise KeyError("x")
    assert (limiter.under_way, limiter.limit) == (0, before)


def test_a_batch_counts_as_more_than_one():
    limiter = Limiter(250, least=8, most=8)
    with limiter.admitted(8, learn=False):
        assert limiter.is_full
    assert not limiter.is_full
