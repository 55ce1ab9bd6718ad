"""A Ray head node of our own for tests, on loopback, with a token, ended by its own process id."""

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.servers.process import free_ports

# ray replaces 127.0.0.1 by the machine's outer address; this one it keeps.
_NODE = "127.0.0.2"
_START_LIMIT_S = 120


@dataclass(frozen=True)
class RayHead:
    """Addresses of the cluster, and the environment that lets a client in."""

    address: str
    dashboard: str
    env: dict[str, str]


@contextmanager
def running(folder: Path, num_cpus: int = 4) -> Iterator[RayHead]:
    """Start `ray start --head --block` in the foreground of a child process, and end it with all its children.

    Args:
        folder: for its session files; must be short, since Ray puts unix sockets there.
        num_cpus: logical CPUs; more than the machine has, so that small pools always fit.
    """
    gcs, dashboard, client, agent, metrics, runtime, node, objects = free_ports(8)
    env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16), "RAY_USAGE_STATS_ENABLED": "0"}
    argv = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
        *(f"--node-ip-address={_NODE}", f"--port={gcs}", f"--num-cpus={num_cpus}"),
        *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"),
        *(f"--dashboard-agent-listen-port={agent}", f"--metrics-export-port={metrics}"),
        *(f"--runtime-env-agent-port={runtime}", f"--node-manager-port={node}", f"--object-manager-port={objects}"),
        *("--min-worker-port=0", "--max-worker-port=0"),
        *(f"--temp-dir={folder}", "--object-store-memory=268435456", "--disable-usage-stats"),
    ]
    log = (folder / "head.log").open("wb")
    process = subprocess.Popen(argv, env=os.environ | env, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{dashboard}"
    try:
        _wait(process, url, folder / "head.log")
        yield RayHead(f"{_NODE}:{gcs}", url, env)
    finally:
        _end(process)
        log.close()


def _wait(process: subprocess.Popen, url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{url}/api/version", timeout=2)
        except urllib.error.HTTPError:
            return  # it answers, and wants the token
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise RuntimeError(f"ray start --head did not come up:\n{log.read_text(errors='replace')[-2000:]}")


def _end(process: subprocess.Popen) -> None:
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in family:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
