"""A real Milvus server for the tests, in its own process and its own environment (`.venv-milvus`)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import LOOPBACK, ServerProcess, answers, free_ports

ROOT = Path(__file__).resolve().parents[2]
_START_LIMIT_S = 180  # 12 s on an idle machine
_PORT_KEYS = (
    "proxy_port", "proxy_internal_port", "etcd_port", "root_coord_port", "query_coord_port", "query_node_port",
    "index_coord_port", "index_node_port", "data_coord_port", "data_node_port",
)  # fmt: skip


@dataclass(frozen=True)
class MilvusServer:
    """Where the server is."""

    uri: str
    pid: int
    ports: tuple[int, ...]


def interpreter() -> Path:
    """The Python of the environment that holds the package milvus."""
    python = Path(os.environ.get("REELSIFT_MILVUS_PYTHON", ROOT / ".venv-milvus" / "bin" / "python"))
    if not python.exists():
        raise RuntimeError(
            f"no Milvus server: {python} does not exist; run the tests by 'make test', which installs it,"
            " or set REELSIFT_MILVUS_PYTHON"
        )
    return python


@contextmanager
def running(folder: Path) -> Iterator[MilvusServer]:
    """Run a server with empty data; its data dies with `folder`."""
    *ports, etcd_peer, metrics = free_ports(len(_PORT_KEYS) + 2)
    settings = [f"{key}={port}" for key, port in zip(_PORT_KEYS, ports, strict=True)]
    launcher = Path(__file__).with_name("milvus_launcher.py")
    # -P: else the launcher's own folder would hide the package milvus behind this file.
    command = [str(interpreter()), "-P", str(launcher), str(folder / "milvus"), str(metrics), str(etcd_peer), *settings]
    process = ServerProcess(command, folder / "milvus.log", dict(os.environ), folder)
    try:
        process.wait_until(lambda: answers(f"http://{LOOPBACK}:{metrics}/healthz", "OK"), "health", _START_LIMIT_S)
        yield MilvusServer(f"http://{LOOPBACK}:{ports[0]}", process.pid, (*ports, etcd_peer, metrics))
    finally:
        # This release does not end on SIGTERM; the short grace lets one that does flush its log.
        process.stop(grace_s=1)
