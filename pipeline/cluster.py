"""Connection to Ray: the cluster that RAY_ADDRESS names, else a small one on this machine's loopback."""

import logging
import os
import tempfile
from dataclasses import dataclass

import ray

from schemas.errors import ReelsiftError

# ray.init replaces 127.0.0.1 by the machine's outer address; another loopback address stays.
_LOOPBACK = "127.0.0.2"
_LOCAL_STORE_BYTES = 512 << 20


@dataclass(frozen=True)
class Resources:
    """What a cluster has in all."""

    cpus: float
    gpus: float


def connect(*, object_store_bytes: int = _LOCAL_STORE_BYTES) -> Resources:
    """Connect this process to Ray, quietly, and tell what the cluster has.

    Args:
        object_store_bytes: size of the object store when a local cluster is started.

    Raises:
        ReelsiftError: RAY_ADDRESS names a cluster that does not answer, or Ray cannot start here.
    """
    for name in ("ray", "ray.data", "ray.serve"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Ray would first look for, and wait on, servers that an offline machine cannot reach.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A venv started through `uv run` would otherwise be rebuilt for every worker.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        else:
            ray.init(
                num_cpus=max(2, os.cpu_count() or 2),
                include_dashboard=False,
                object_store_memory=object_store_bytes,
                _node_ip_address=_LOOPBACK,
                _temp_dir=_short_temp_dir(),
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        where = f"the Ray cluster at RAY_ADDRESS={address}" if address else "Ray on this machine"
        raise ReelsiftError(f"cannot reach or start {where}: {str(error).splitlines()[0][:200]}") from error
    total = ray.cluster_resources()
    return Resources(cpus=float(total.get("CPU", 0)), gpus=float(total.get("GPU", 0)))


def _short_temp_dir() -> str | None:
    # A unix socket's path is limited to 107 bytes; Ray adds about 70 of its own to the folder.
    folder = tempfile.gettempdir()
    return None if folder == "/tmp" or len(folder) > 30 else f"{folder}/ray"


def disconnect() -> None:
    """Leave Ray; a local cluster that `connect` started ends."""
    ray.shutdown()
