"""A bare chain of Ray Serve: HTTP -> ingress -> one deployment -> another, as the service is wired, without any work.

What it costs is what the hops themselves cost; the messages have the sizes of a search's.
"""

import argparse
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI
from ray import serve
from ray.serve import Application

from pipeline.ranking import EncodedQuery
from pipeline.serving.application import connected, deploy
from pipeline.serving.messages import Answer, Encoded
from schemas.config import ServeConfig
from schemas.results import SearchHit
from tests.servers.process import free_ports

_START_S = 120
_DIM, _HITS = 512, 10
_CPUS = {"num_cpus": 0.1}
_HIT = SearchHit(
    rank=1, clip_id="0" * 32, video_id="0" * 32, uri="s3://videos/some/folder/0123456789.mp4", start_s=0.0, end_s=8.0,
    best_s=1.0, score=0.5, coarse_score=0.5, stage="fine",
)  # fmt: skip
app = FastAPI()


class Encoder:
    """Stands for the text encoder."""

    async def encode(self, version: int, query: str) -> Encoded:
        """Two vectors."""
        return Encoded(EncodedQuery(np.zeros(_DIM, np.float32), np.zeros(_DIM, np.float32)), 0.0)


class Ranker:
    """Stands for recall and rerank."""

    async def answer(self, version: int, encoded: EncodedQuery) -> Answer:
        """Ten hits."""
        return Answer([_HIT] * _HITS, {}, [])


@serve.ingress(app)
class Front:
    """Stands for the ingress."""

    def __init__(self, encoder: Any, ranker: Any) -> None:
        self._encoder = encoder
        self._ranker = ranker

    @app.post("/echo")
    async def echo(self, body: dict[str, Any]) -> list[SearchHit]:
        """Both hops, one after the other."""
        encoded: Encoded = await self._encoder.encode.remote(1, body["query"])
        answer: Answer = await self._ranker.answer.remote(1, encoded.vectors)
        return answer.hits

    @app.get("/readyz")
    async def readyz(self) -> str:
        """It lives."""
        return "ready"


def chain() -> Application:
    """The application graph."""
    encoder = serve.deployment(name="Encoder", ray_actor_options=_CPUS, max_ongoing_requests=64)(Encoder)
    ranker = serve.deployment(name="Ranker", ray_actor_options=_CPUS, max_ongoing_requests=64)(Ranker)
    front = serve.deployment(name="Front", ray_actor_options=_CPUS, max_ongoing_requests=64)(Front)
    return front.bind(encoder.bind(), ranker.bind())


@contextmanager
def running_chain(folder: Path) -> Iterator[str]:
    """The chain in a process of its own; its URL."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with (folder / "chain.log").open("wb") as log:
        command = [sys.executable, "-m", "benchmarks.echo_chain", "--port", str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait_ready(url, process)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_START_S)


def _wait_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/readyz", timeout=5).status_code == httpx.codes.OK:
                return
        time.sleep(0.2)
    raise RuntimeError("the bare chain does not start")


def main() -> None:
    """Serve the chain until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    config = ServeConfig(index="none", port=parser.parse_args().port)
    stop = threading.Event()
    with connected(config):
        signal.signal(signal.SIGTERM, lambda signum, frame: stop.set())
        deploy(config, chain(), proxied=True)
        stop.wait()


if __name__ == "__main__":
    main()
