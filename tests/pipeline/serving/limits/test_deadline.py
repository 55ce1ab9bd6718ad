"""The second stage is cut in the documented steps, never deeper than it must be and never beyond the time left."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.serving.limits.deadline import COARSE_ONLY, FEWER, FRAMES_ONLY, Clock, Costs, Depth, MeasuredCosts, plan

milliseconds = st.floats(-100, 10_000)
each = st.floats(0.001, 100)
STEPS = [(), (FEWER,), (FRAMES_ONLY,), (FEWER, FRAMES_ONLY), (COARSE_ONLY,)]


def cost_ms(chosen, costs):
    return chosen.candidates * (costs.frames_ms if chosen.tier == "frames" else costs.all_ms)


@given(milliseconds, st.integers(1, 1000), st.integers(1, 1000), each, each)
def test_what_is_chosen_fits_and_is_named(left_ms, wanted, k, all_ms, frames_ms):
    costs = Costs(all_ms, frames_ms)
    chosen = plan(left_ms, wanted, k, costs)
    assert chosen.candidates == 0 or cost_ms(chosen, costs) <= left_ms
    assert chosen.degraded in STEPS
    assert (FRAMES_ONLY in chosen.degraded) == (chosen.tier == "frames")
    assert (FEWER in chosen.degraded) == (0 < chosen.candidates < wanted)
    assert (COARSE_ONLY in chosen.degraded) == (chosen.candidates == 0)
    # Less than what is shown is never scored: a cheaper step is taken.
    assert chosen.candidates == 0 or chosen.candidates >= min(wanted, k)


@given(milliseconds, st.floats(0, 1000), st.integers(1, 1000), st.integers(1, 100), each)
def test_more_time_never_degrades_more(left_ms, more_ms, wanted, k, all_ms):
    costs = Costs(all_ms, all_ms / 4)

    def depth(chosen):
        return (chosen.tier == "all" and chosen.candidates > 0, chosen.candidates)

    assert depth(plan(left_ms + more_ms, wanted, k, costs)) >= depth(plan(left_ms, wanted, k, costs))


def test_frames_are_no_step_where_there_are_no_patches_to_leave_out():
    assert plan(10, 50, 10, Costs(1.0, None)).degraded == (COARSE_ONLY,)


def test_nothing_is_cut_until_a_cost_is_known_but_no_time_left_is_no_time():
    unknown = MeasuredCosts(has_patches=True).now()
    assert plan(0.5, 1000, 10, unknown).degraded == ()
    assert plan(0, 1000, 10, unknown).degraded == (COARSE_ONLY,)


def test_costs_follow_what_is_measured():
    costs = MeasuredCosts(has_patches=True)
    for _ in range(40):
        costs.note("all", 10, 100.0)
    assert round(costs.now().all_ms, 3) == 10
    for _ in range(40):
        costs.note("all", 10, 20.0)
        costs.note("frames", 50, 5.0)
    assert round(costs.now().all_ms, 2) == 2.0
    assert round(costs.now().frames_ms, 3) == 0.1
    costs.note("all", 0, 1000.0)
    assert round(costs.now().all_ms, 2) == 2.0


def test_a_caller_who_wants_no_second_stage_gets_none_and_no_degradation():
    depth = Depth(Clock(10_000), 10, MeasuredCosts(has_patches=True), rerank=False)
    assert (depth.choose(50), depth.degraded) == ((0, "all"), [])
