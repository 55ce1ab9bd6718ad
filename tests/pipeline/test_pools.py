import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pools import plan_pools


@given(
    st.integers(1, 512),
    st.integers(0, 64),
    st.none() | st.integers(1, 300),
    st.none() | st.integers(1, 300),
    st.floats(0, 1),
)
def test_pools_always_leave_cpus_for_the_rest_of_ray_data(cpus, gpus, decoders, encoders, share):
    pools = plan_pools(cpus, gpus, decoders, encoders, encode_share=share)
    used = (pools.decoders + pools.encoders) * pools.cpus_per_actor
    assert used + pools.writer_cpus <= cpus
    assert pools.encoders <= max(1, cpus, gpus, encoders or 0)
    assert pools.decoders >= 1
    assert pools.encoders >= 1
    assert pools.cpus_per_actor > 0


@pytest.mark.parametrize(("gpus", "share"), [(0, 0.0), (4, 1.0)])
def test_each_encoder_has_a_gpu_of_its_own_where_there_are_any(gpus, share):
    pools = plan_pools(32, gpus)
    assert pools.gpus_per_encoder == share
    assert pools.encoders == (gpus or 16)


def test_on_a_cluster_that_grows_actors_ask_for_what_is_not_there_yet():
    pools = plan_pools(0, 0, decoders=64, encoders=4, gpus_per_encoder=1.0)
    assert (pools.decoders, pools.encoders, pools.cpus_per_actor, pools.gpus_per_encoder) == (64, 4, 1.0, 1.0)
