"""One query at a time: the whole of a search, its stages each measured alone, and a bare chain of Ray Serve."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import httpx

from benchmarks.open_loop import percentile
from benchmarks.serve_world import RECALL_K, K, World
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import live_manifest, open_fine
from pipeline.query_encoding import encode_query, load_version_model
from pipeline.ranking import choose_recall
from pipeline.recall import recall
from pipeline.rerank import rerank, warm_up
from pipeline.storage import Store

_WARM_UP = 30


def posted_ms(url: str, path: str, bodies: Sequence[object]) -> list[float]:
    """Milliseconds of each request, one after the other on one connection; the first ones warm up and are left out."""
    spent = []
    with httpx.Client(base_url=url, timeout=60) as client:
        for body in bodies:
            start = time.perf_counter()
            client.post(path, json=body).raise_for_status()
            spent.append(1000 * (time.perf_counter() - start))
    return spent[_WARM_UP:]


def stages_alone_ms(world: World, calls: int) -> dict[str, list[float]]:
    """Milliseconds of each stage, called in this process, over the same queries.

    "milvus" is all that stage 1 asks Milvus for; "read" and "score" are those of its candidates.
    """
    index = Store(str(world.root / "index"))
    manifest, fine = open_fine(index, live_manifest(index))
    model, mode = load_version_model(manifest), choose_recall(None, manifest)
    spent: dict[str, list[float]] = {"encode": [], "milvus": [], "read": [], "score": []}
    with closing(fine), closing(VectorStore.open(manifest.milvus, index.root)) as vectors:
        warm_up(fine, manifest.scoring, manifest.token_shape.dim)
        for number in range(calls + _WARM_UP):
            text = world.queries[number % len(world.queries)]
            start = time.perf_counter()
            query = encode_query(model, text)
            spent["encode"].append(1000 * (time.perf_counter() - start))
            start = time.perf_counter()
            found = recall(vectors, manifest, query, mode, K, RECALL_K)
            spent["milvus"].append(1000 * (time.perf_counter() - start))
            scored = rerank(query.text_D, found.candidates, fine, manifest.scoring)
            spent["read"].append(scored.read_ms)
            spent["score"].append(scored.score_ms)
    return {name: values[_WARM_UP:] for name, values in spent.items()}


def latency(world: World, calls: int, chain: Callable[[], str]) -> None:
    """The service's own part of a search's time, as a ratio to what a bare chain of the same hops costs.

    Args:
        world: the running service.
        calls: requests of each kind.
        chain: starts the bare chain and gives its URL.
    """
    bodies = [
        {"query": world.queries[number % len(world.queries)], "k": K, "recall_k": RECALL_K}
        for number in range(calls + _WARM_UP)
    ]
    whole = posted_ms(world.service.url, "/v1/search", bodies)
    alone = stages_alone_ms(world, calls)
    bare = posted_ms(chain(), "/echo", bodies)
    again = posted_ms(world.service.url, "/v1/search", bodies)
    p50 = min(percentile(whole, 50), percentile(again, 50))
    work = {name: statistics.median(values) for name, values in alone.items()}
    own, bare_p50 = p50 - sum(work.values()), percentile(bare, 50)
    world.add("latency", "whole search, p50 (p99)", f"{p50:.1f} ({percentile(whole, 99):.1f}) ms")
    for name, value in work.items():
        world.add("latency", f"{name} alone, p50", f"{value:.2f} ms")
    world.add(
        "latency", "bare Serve chain of the same hops, p50 (p99)", f"{bare_p50:.1f} ({percentile(bare, 99):.1f}) ms"
    )
    world.add("latency", "(whole - stages) / bare chain", f"{own / bare_p50:.2f}")
