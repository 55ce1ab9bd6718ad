"""A real Milvus server for the tests, in its own process and its own environment (`.venv-milvus`)."""

import os
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import LOOPBACK, ServerProcess, answers, free_ports

ROOT = Path(__file__).resolve().parents[2]
_START_LIMIT_S = 180  # 12 s on an idle machine
_PORTS_FREE_LIMIT_S, _PORTS_FREE_LOOK_S = 90, 1.0
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


class RestartableMilvus:
    """A server that can be ended and started again with its data, at the same address.

    Args:
        folder: for its data and its log.
        session_ttl_s: how long its parts may be silent before it gives itself up. One that was killed can be started
            again with its data only when this time is over.
    """

    def __init__(self, folder: Path, session_ttl_s: int = 30) -> None:
        self._folder = folder
        self._session_ttl_s = session_ttl_s
        self._ports = free_ports(len(_PORT_KEYS) + 2)
        self._process: ServerProcess | None = None
        self.uri = f"http://{LOOPBACK}:{self._ports[0]}"

    def start(self) -> MilvusServer:
        """Start it, and wait until it says that it is well."""
        *ports, etcd_peer, metrics = self._ports
        settings = [f"{key}={port}" for key, port in zip(_PORT_KEYS, ports, strict=True)]
        launcher = Path(__file__).with_name("milvus_launcher.py")
        places = [str(self._folder / "milvus"), str(metrics), str(etcd_peer), str(self._session_ttl_s)]
        # -P: else the launcher's own folder would hide the package milvus behind this file.
        command = [str(interpreter()), "-P", str(launcher), *places, *settings]
        process = ServerProcess(command, self._folder / "milvus.log", dict(os.environ), self._folder)
        self._process = process
        process.wait_until(lambda: answers(f"http://{LOOPBACK}:{metrics}/healthz", "OK"), "health", _START_LIMIT_S)
        return MilvusServer(self.uri, process.pid, tuple(self._ports))

    def start_again(self) -> MilvusServer:
        """Start it where it was ended. It wants ports that no old connection holds, which takes up to a minute."""
        deadline = time.monotonic() + _PORTS_FREE_LIMIT_S
        while True:
            try:
                return self.start()
            except RuntimeError as error:
                if "bind failed" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_PORTS_FREE_LOOK_S)

    def start_empty_if_dead(self) -> None:
        """Start it without data where it has ended by itself, which it does when a machine starves it."""
        if self._process is not None and not self._process.lives():
            warnings.warn(f"the Milvus server has ended by itself:\n{self._process.tail()}", stacklevel=2)
            shutil.rmtree(self._folder / "milvus")
            self.start_again()

    def stop(self) -> None:
        """End it. This release does not end on SIGTERM; the short grace lets one that does flush its log."""
        if self._process is not None:
            self._process.stop(grace_s=1)
            self._process = None


@contextmanager
def running(folder: Path, session_ttl_s: int = 600) -> Iterator[RestartableMilvus]:
    """Run a server with empty data, patient with a slow machine; its data dies with `folder`."""
    server = RestartableMilvus(folder, session_ttl_s)
    try:
        server.start()
        yield server
    finally:
        server.stop()
