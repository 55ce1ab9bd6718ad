"""A real `reelsift serve`, and an index for it to answer from."""

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from models.registry import load_model
from pipeline.index.build import build_index
from pipeline.index.switch import publish
from pipeline.storage import Store
from schemas.index_config import IndexConfig
from tests.e2e.cli import ROOT, command
from tests.servers.process import free_ports
from tests.tables_factory import make_tables

START_S = 300
STOP_S = 90


def build_version(root: Path, seed: int, videos: int = 30, frames: str = "auto", folder: str = "/videos"):
    """Build one version of root/index from random tokens of the tiny model; not published."""
    model = load_model("random-tiny")
    tables = root / f"tables-{seed}"
    make_tables(
        Store(str(tables)), num_videos=videos, clips_per_video=4, shape=model.token_shape, model_id=model.model_id,
        model="random-tiny", seed=seed, videos_per_task=8, folder=folder,
    )  # fmt: skip
    return build_index(IndexConfig(tables=str(tables), index=str(root / "index"), frames=frames))


def publish_version(root: Path, version: int) -> None:
    """Make a version of root/index the live one."""
    publish(Store(str(root / "index")), version)


@dataclass
class Service:
    """A running `reelsift serve`."""

    process: subprocess.Popen
    url: str
    port: int
    log: Path
    errors: Path

    def client(self) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=self.url, timeout=60)

    def wait_for_line(self) -> str:
        """Its first line on stdout."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            lines = self.log.read_text().splitlines()
            if lines:
                return lines[0]
            assert self.process.poll() is None, self.errors.read_text()
            time.sleep(0.1)
        raise AssertionError(f"no line within {START_S} s: {self.errors.read_text()}")

    def wait_ready(self, limit_s: float = 60) -> None:
        """Until /readyz says so."""
        deadline = time.monotonic() + limit_s
        while (answer := httpx.get(f"{self.url}/readyz")).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)

    def family_names(self) -> list[str]:
        """What runs below it."""
        names = []
        for each in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                names.append(" ".join(each.cmdline()))
        return names

    def stop(self, how: signal.Signals) -> list[psutil.Process]:
        """End it by a signal; the processes of its own that still run afterwards."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        assert len(family) > 5  # Ray's processes are among them, else this proves nothing
        self.process.send_signal(how)
        self.process.wait(STOP_S)
        return [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def running_service(root: Path, *flags: str):
    """`reelsift serve` on root/index; ended by SIGTERM if the test has not done it."""
    [port] = free_ports(1)
    log, errors = root / f"serve-{port}.out", root / f"serve-{port}.err"
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with log.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            command("serve", "--index", root / "index", "--port", port, *flags),
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    service = Service(process, f"http://127.0.0.1:{port}", port, log, errors)
    try:
        yield service
    finally:
        if process.poll() is None:
            service.stop(signal.SIGTERM)


def comparable(result: dict) -> tuple:
    """What must be equal between two answers, and the scores, which must be close."""
    names = ("rank", "clip_id", "video_id", "uri", "start_s", "end_s", "best_s", "stage")
    hits = [tuple(hit[name] for name in names) for hit in result["hits"]]
    scores = [(hit["score"], hit["coarse_score"]) for hit in result["hits"]]
    return (result["query"], result["version"], json.dumps(hits)), scores
