import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.memory_budget import ModelCost, plan_memory
from schemas.errors import ConfigError

GIB = 1 << 30
TINY = ModelCost(weights_bytes=8 << 20, num_frames=12, image_size=64, patches=16, width=128, dim=128)
B32 = ModelCost(weights_bytes=620 << 20, num_frames=12, image_size=224, patches=49, width=768, dim=512)
costs = st.sampled_from((TINY, B32)) | st.builds(
    ModelCost,
    weights_bytes=st.integers(1, 4 * GIB),
    num_frames=st.integers(1, 32),
    image_size=st.integers(32, 512),
    patches=st.integers(1, 1024),
    width=st.integers(32, 1664),
    dim=st.integers(32, 1280),
)


@given(st.integers(1, 512), costs, st.integers(1, 64), st.integers(1, 40), st.integers(1, 20), st.integers(1, 96))
def test_what_is_planned_fits_the_budget_or_is_refused(gib, cost, cpus, decoders, encoders, frames):
    try:
        plan = plan_memory(gib * GIB, cost, cpus=cpus, decoders=decoders, encoders=encoders, batch_frames=frames)
    except ConfigError:
        return
    assert plan.total_bytes <= gib * GIB
    assert 1 <= plan.decoders <= decoders
    assert 1 <= plan.encoders <= encoders
    assert 1 <= plan.batch_frames <= frames
    assert plan.task_bytes >= cost.clip_bytes + cost.picture_bytes  # one clip gets through
    assert plan.child_bytes >= 192 << 20
    assert plan.store_bytes >= 96 << 20


@pytest.mark.parametrize("cost", [TINY, B32])
def test_a_refusal_names_the_least_that_would_do(cost):
    def plan(gib):
        return plan_memory(int(gib * GIB), cost, cpus=2, decoders=1, encoders=1)

    with pytest.raises(ConfigError, match=r"memory_budget_gb = 1: .* at least \d+\.\d\d") as caught:
        plan(1)
    least = float(str(caught.value).split("at least ")[1].split(";")[0])
    plan(least)
    with pytest.raises(ConfigError):
        plan(least - 0.02)


def test_the_shipped_model_runs_in_three_gib_on_two_cpus():
    plan = plan_memory(3 * GIB, TINY, cpus=2, decoders=1, encoders=1)
    assert plan.child_bytes >= 256 << 20  # a picture of 4K and those it is predicted from
    assert plan.task_bytes >= 32 * (TINY.picture_bytes + TINY.clip_bytes)  # the largest task of whole videos


def test_more_memory_gives_more_until_all_that_was_wanted_is_there():
    plans = [plan_memory(gib * GIB, TINY, cpus=8, decoders=4, encoders=4) for gib in (4, 8, 16, 32)]
    actors = [plan.encoders + plan.decoders for plan in plans]
    assert actors == sorted(actors)
    assert (plans[-1].encoders, plans[-1].decoders) == (4, 4)
    assert actors[0] < actors[-1]
