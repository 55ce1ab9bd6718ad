"""The Ray Serve application: what is deployed where, and its life from start to clean end."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import psutil
import ray
from ray import serve
from ray.serve import Application
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig

from pipeline import cluster
from pipeline.serving.front import Front
from pipeline.serving.ingress import GRACE_S, Ingress
from pipeline.serving.replicas.encoder import TextEncoder
from pipeline.serving.replicas.media import Media
from pipeline.serving.replicas.recaller import StageOne
from pipeline.serving.replicas.rerank_shard import RerankShard
from pipeline.serving.replicas.reranker import Reranker
from pipeline.serving.service import MAX_UNDER_WAY
from schemas.config import ServeConfig
from schemas.errors import ConfigError, PortTakenError, ReelsiftError

APP_NAME = "reelsift"
_INGRESS = "Ingress"
# Arguments between deployments stay far below the size from which Ray puts them into its store.
_OBJECT_STORE_BYTES = 128 << 20
# A little more than requests under way get in an ingress that ends.
_GRACE_S = GRACE_S + 2.0
_KEEP_ALIVE_S = 75
_END_WAIT_S = 15.0
_A_LITTLE = 0.001
# No method of ours works on an event loop, so requests need not change threads in a replica; and messages between
# replicas go straight to the other one instead of through Ray's object store. Both make a hop cheaper.
_FAST_PATH = {
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    # Ray starts its processes at nice 15, below all else on the machine: what answers connections would wait behind
    # whatever runs there. Threads that search give way by themselves (`replicas.work_threads`).
    "RAY_worker_niceness": "0",
}


def build(config: ServeConfig, front: Front | None = None) -> Application:
    """The application graph: ingress -> text encoder, ingress -> both stages; or -> stage 1, -> each rerank shard.

    Args:
        config: the settings of the job.
        front: what stands around the search; None to draw it up here.

    Raises:
        ConfigError: keys are not where they should be.
    """
    front = front or Front.of(config)
    media = _deployed(Media, "Media", config, 1).bind() if front.links else None
    encoder = _deployed(TextEncoder, "TextEncoder", config, config.encoder_replicas, config.max_batch)
    # It listens where this process was started, and there its port was proven to be free.
    ingress = _deployed(Ingress, _INGRESS, config, config.ingress_replicas, 0, _here())
    before = (config, front, media, encoder.bind(config.index, config.max_batch))
    replicas, parts = config.reranker_replicas, config.rerank_shards
    if parts == 1:
        reranker = _deployed(Reranker, "Reranker", config, replicas)
        return _bound(ingress, *before, reranker.bind(config.index, config.score_threads, config.max_batch))
    shards = [
        _deployed(RerankShard, f"RerankShard{part}", config, replicas).bind(
            config.index, part, parts, config.score_threads, config.max_batch
        )
        for part in range(parts)
    ]
    return _bound(
        ingress,
        *before,
        _deployed(StageOne, "StageOne", config, replicas).bind(config.index, config.max_batch),
        *shards,
    )


def _bound(deployment: Any, *args: Any) -> Application:
    application: Application = deployment.bind(*args)
    return application


def _deployed(
    kind: type,
    name: str,
    config: ServeConfig,
    replicas: int,
    requests: int = 0,
    resources: dict[str, float] | None = None,
) -> Any:
    return serve.deployment(
        name=name,
        num_replicas=replicas,
        ray_actor_options={"num_cpus": config.cpus_per_replica, "resources": resources or {}},
        # The ingress bounds what is under way, so that a replica never makes anyone wait in Serve's own queues.
        max_ongoing_requests=max(MAX_UNDER_WAY, requests),
        graceful_shutdown_timeout_s=_GRACE_S,
    )(kind)


def _here() -> dict[str, float]:
    """What only the node has that this process runs on."""
    if not ray.is_initialized():
        return {}
    return {f"node:{ray.util.get_node_ip_address()}": _A_LITTLE}  # type: ignore[no-untyped-call]


def check_address(host: str, port: int, flag: str = "--port") -> None:
    """Prove that the address can be listened on, before anything is started.

    Args:
        host: address.
        port: of it.
        flag: that chose the port.

    Raises:
        PortTakenError: something listens there.
        ConfigError: the host is none of this machine, or the port needs rights that we lack.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise ConfigError(f"--host {host!r} is not a known name or address: use 127.0.0.1 or 0.0.0.0") from None
    with socket.socket(family, kind, proto) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError:
            raise ConfigError(f"{flag} {port} needs more rights than this user has: use one from 1024 up") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(
                    f"{host}:{port} is in use: choose another {flag}, or end what listens there"
                ) from None
            raise ConfigError(
                f"cannot listen on {host}:{port} ({error.strerror}): use an address of this machine"
            ) from None


@contextlib.contextmanager
def connected(config: ServeConfig) -> Iterator[None]:
    """Ray, ready for `deploy` inside the `with`; nothing of it is left behind.

    Raises:
        PortTakenError: the address is in use.
        ReelsiftError: Ray does not start.
    """
    check_address(config.host, config.port)
    if config.grpc_port is not None:
        check_address(config.host, config.grpc_port, "--grpc-port")
    for name, value in _FAST_PATH.items():
        # Replicas inherit it; a cluster that runs already keeps its own.
        os.environ.setdefault(name, value)
    try:
        cluster.connect(object_store_bytes=_OBJECT_STORE_BYTES)
        yield
    finally:
        _end()


def deploy(config: ServeConfig, application: Application | None = None, *, proxied: bool = False) -> None:
    """Put the application on Ray. It comes up by itself afterwards; /readyz says when.

    Args:
        config: the settings of the job.
        application: another one to put there in the same way; None for the service.
        proxied: whether it is reached through Ray Serve's proxy; the service listens by itself.

    Raises:
        ReelsiftError: Ray Serve does not start.
    """
    quiet = LoggingConfig(log_level="WARNING", enable_access_log=False)
    http = HTTPOptions(host=config.host, port=config.port, keep_alive_timeout_s=_KEEP_ALIVE_S)
    prefix = "/" if proxied else None
    target = serve.RunTarget(application or build(config), name=APP_NAME, route_prefix=prefix, logging_config=quiet)
    try:
        serve.start(proxy_location="HeadOnly" if proxied else "Disabled", http_options=http, logging_config=quiet)
        serve.run_many([target], wait_for_applications_running=False)
    except (RuntimeError, TimeoutError) as error:
        raise ReelsiftError(f"Ray Serve does not start: {str(error).splitlines()[0][:200]}") from error


def _drain() -> None:
    """Let searches under way end, while all that they need is still there."""
    states: dict[Any, int] = serve.status().applications[APP_NAME].deployments[_INGRESS].replica_states
    if states.get("RUNNING", 0):
        ingress = serve.get_deployment_handle(_INGRESS, APP_NAME)
        ingress.drain.remote().result(timeout_s=_GRACE_S)
        ingress.broadcast("drain").results(timeout_s=_GRACE_S)


def _end() -> None:
    children = psutil.Process().children(recursive=True)
    with contextlib.suppress(Exception):
        _drain()
    with contextlib.suppress(Exception):
        # Serve itself is left alone: on a shared cluster it is not ours, and on one of
        # our own it goes with the cluster.
        serve.delete(APP_NAME)
    cluster.disconnect()
    # Ray ends its processes by signal and does not wait for them.
    _, alive = psutil.wait_procs(children, timeout=_END_WAIT_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=_END_WAIT_S)
