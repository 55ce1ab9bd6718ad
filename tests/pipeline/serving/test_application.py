"""A wrong address is one clear error before Ray is started, and the parts fit a small machine."""

import socket

import pytest

from pipeline.serving.application import build, check_address
from schemas.config import ServeConfig
from schemas.errors import ConfigError, PortTakenError


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as listener:
        yield listener.getsockname()[1]


def test_a_port_that_is_listened_on_is_refused_even_if_it_could_be_shared(taken):
    with pytest.raises(PortTakenError, match=rf"127\.0\.0\.1:{taken} .*--port"):
        check_address("127.0.0.1", taken)


def test_a_free_port_is_taken_and_given_back():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    check_address("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)) as again:
        assert again.getsockname()[1] == port


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.200", "a" * 300])
def test_a_host_that_is_not_this_machine_is_a_usage_error(host):
    with pytest.raises(ConfigError, match=host[:20]):
        check_address(host, 28000)


def test_all_deployments_fit_two_cores():
    application = build(ServeConfig(index="i"))
    ingress = application._bound_deployment
    parts = [ingress, *(arg._bound_deployment for arg in ingress.init_args if hasattr(arg, "_bound_deployment"))]
    assert [part.name for part in parts] == ["Ingress", "Media", "TextEncoder", "Reranker"]
    assert sum(part.ray_actor_options["num_cpus"] for part in parts) <= 2
