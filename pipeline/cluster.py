"""Connection to Ray: the cluster that RAY_ADDRESS names, else a small one on this machine's loopback."""

import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil
import ray

from pipeline.termination import raise_on_sigterm
from schemas.errors import ReelsiftError, TerminatedError

# ray.init replaces 127.0.0.1 by the machine's outer address; another loopback address stays.
_LOOPBACK = "127.0.0.2"
_LOCAL_STORE_BYTES = 512 << 20
_CONNECT_LIMIT_S = 10
_LOCAL_STARTS = 3
# In the environment of all processes of a Ray that this one starts, and of no others.
_MARK = "REELSIFT_LOCAL_RAY"
_LOOKS = 3
_LOOK_EVERY_S = 0.1
_SHORT = 30


@dataclass(frozen=True)
class Resources:
    """What a cluster has in all."""

    cpus: float
    gpus: float


def local_cpus() -> int:
    """CPUs that a Ray which `connect` starts here would offer."""
    return max(2, os.cpu_count() or 2)


def connect(*, object_store_bytes: int = _LOCAL_STORE_BYTES) -> Resources:
    """Connect this process to Ray, quietly, and tell what the cluster has.

    Args:
        object_store_bytes: size of the object store when a local cluster is started.

    Raises:
        ReelsiftError: RAY_ADDRESS names a cluster that does not answer, or Ray cannot start here.
    """
    quiet_logs()
    # Core processes would write notes on Ray's own internals between a job's lines; the files under Ray's
    # session folder keep what they have to say.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Ray would first look for, and wait on, servers that an offline machine cannot reach.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A venv started through `uv run` would otherwise be rebuilt for every worker.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        # Of a Ray that lives as long as a command nobody collects the figures, which every process of it would gather
        # and send. A cluster decides for itself.
        os.environ.setdefault("RAY_enable_metrics_collection", "0")
    local = {
        # Without it Ray joins whatever cluster `ray start` has left running on this machine.
        "address": "local",
        "num_cpus": local_cpus(),
        "include_dashboard": False,
        "object_store_memory": object_store_bytes,
        "_node_ip_address": _LOOPBACK,
        "_temp_dir": _short_temp_dir(),
    }
    where = {"address": address} if address else local
    if address:
        _check_reachable(address)
    try:
        _init(where, _LOCAL_STARTS if not address else 1)
    except Exception as error:
        # Ray says with a bare Exception that its own processes did not come up in time.
        if type(error) is not Exception and not isinstance(error, RuntimeError | ValueError | OSError):
            raise
        what = f"the Ray cluster at RAY_ADDRESS={address}" if address else "Ray on this machine"
        logs = "" if address else f" (its logs: {local['_temp_dir'] or '/tmp/ray'}/session_latest/logs)"
        raise ReelsiftError(f"cannot reach or start {what}: {str(error).splitlines()[0][:200]}{logs}") from error
    raise_on_sigterm()
    total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return Resources(cpus=float(total.get("CPU", 0)), gpus=float(total.get("GPU", 0)))


def _init(where: dict[str, Any], starts: int) -> None:
    """Start or join Ray; a start that takes longer than Ray's own 30 s is tried again.

    Ray's limit cannot be set, and on a busy machine its processes need longer now and then.
    """
    with _muted_stderr(), _marked():
        try:
            ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
            return
        except BaseException as error:
            # What came up too late, or before Ctrl-C, would stay: Ray itself knows of nothing that it has not started.
            _end_marked()
            if isinstance(error, SystemExit):
                raise TerminatedError from None  # Ray's handler of SIGTERM, until ours is back
            if type(error) is not Exception or starts <= 1:
                raise
    _init(where, starts - 1)


@contextmanager
def _marked() -> Iterator[None]:
    os.environ[_MARK] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.pop(_MARK, None)


def _end_marked() -> None:
    """End what is left of a local Ray; of its own children that lost their parent nothing else tells whose they are."""
    for look in range(_LOOKS):
        # One that starts at this very moment has no environment to be seen yet, and may have come from one just ended.
        time.sleep(_LOOK_EVERY_S if look else 0)
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(_MARK) == str(os.getpid()) and process.pid != os.getpid():
                    process.kill()


def _check_reachable(address: str) -> None:
    # ray.init waits minutes for an address where nobody listens.
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return  # "auto", "local": Ray resolves these itself
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_LIMIT_S).close()
    except OSError as error:
        raise ReelsiftError(f"no Ray cluster answers at RAY_ADDRESS={address} ({error.strerror or error})") from None


@contextmanager
def _muted_stderr() -> Iterator[None]:
    # Ray's C++ core announces the log level that was just set, straight to file descriptor 2. What matters of a
    # failed start comes as an exception.
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def quiet_logs() -> None:
    """Leave only errors of Ray on the terminal. Ray Data sets its own levels late, so call it again after that."""
    for name in ("ray", "ray.data", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _short_temp_dir() -> str | None:
    # A unix socket's path is limited to 107 bytes; Ray adds about 70 of its own to the folder.
    folder = tempfile.gettempdir()
    return None if folder == "/tmp" or len(folder) > _SHORT else f"{folder}/ray"


def disconnect() -> None:
    """Leave Ray; a local cluster that `connect` started ends."""
    try:
        ray.shutdown()
    finally:
        _end_marked()
