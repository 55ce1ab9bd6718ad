"""100,000 coarse vectors in Milvus Lite and in a real server: loading, recall of the index, latency.

Vectors are generated: unit, 512 numbers, most of their length in 48 directions, in clusters, as embeddings have it.
Rows go in by turns of 10,000, through the way a build takes and through a bare loop of pymilvus's insert over rows that
were made beforehand, each into a collection of its own; a disturbance meets both. The server is that of the tests.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.report import tell
from pipeline.index.collection_schema import CALL_S, make_clip_collection
from pipeline.index.collection_writer import CollectionWriter
from pipeline.index.milvus_rows import clip_rows
from pipeline.index.recall_check import RecallCheck, noisy
from pipeline.index.row_sinks import BackgroundInserts, RowSink
from pipeline.index.vector_store import VectorStore
from schemas.index_config import IndexConfig
from schemas.manifest import LITE
from tests.servers import milvus

DIM, RANK, CLUSTERS = 512, 48, 400
TURN, AT_ONCE, QUERIES, BATCH = 10_000, 512, 200, 32


def vectors_of(count: int, seed: int) -> np.ndarray:
    """Unit vectors, float32 (count, 512)."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((DIM, RANK)))[0].T * np.linspace(2.0, 0.5, RANK)[:, None]
    centres = rng.standard_normal((CLUSTERS, RANK))
    inner = centres[rng.integers(CLUSTERS, size=count)] + 0.7 * rng.standard_normal((count, RANK))
    found = (inner @ axes + 0.05 * rng.standard_normal((count, DIM))).astype(np.float32)
    unit: np.ndarray = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def table_of(vectors: np.ndarray, first: int) -> pa.Table:
    """The columns of TABLES/clips that go into Milvus."""
    count = len(vectors)
    numbers = range(first, first + count)
    columns = {
        "clip_id": [f"{number:032x}" for number in numbers],
        "video_id": [f"{number // 10:032x}" for number in numbers],
        "uri": [f"s3://videos/{number // 10}.mp4" for number in numbers],
        "start_s": np.arange(count, dtype=np.float64),
        "end_s": np.arange(count, dtype=np.float64) + 8,
        "metadata": [json.dumps({"number": number}) for number in numbers],
        "coarse": pa.FixedSizeListArray.from_arrays(vectors.ravel(), DIM),
    }
    return pa.table(columns)


def load_by_turns(
    vectors: VectorStore, sink: RowSink, writer: CollectionWriter, bare: str, data: np.ndarray
) -> tuple[list[float], list[float]]:
    """Seconds of each turn: ours, and the bare loop."""
    client = vectors._milvus._client  # the connection of the build itself, so that nothing differs but our code
    vectors._milvus.ask(lambda ready: make_clip_collection(ready, bare, DIM))
    ours: list[float] = []
    plain: list[float] = []
    for turn, first in enumerate(range(0, len(data), TURN)):
        table = table_of(data[first : first + TURN], first)
        addresses = [(0, first + row) for row in range(len(table))]
        rows = clip_rows(table, addresses)

        def by_build(table: pa.Table = table, addresses: list[tuple[int, int]] = addresses) -> None:
            for start in range(0, len(table), AT_ONCE):
                part = table.slice(start, AT_ONCE)
                writer.write(clip_rows(part, addresses[start : start + AT_ONCE]), AT_ONCE)
            # So that no message of ours is under way while the other loop is measured.
            sink.finish(lambda doing: None)

        def by_loop(rows: list[dict[str, Any]] = rows) -> None:
            for start in range(0, len(rows), AT_ONCE):
                client.insert(bare, rows[start : start + AT_ONCE], timeout=CALL_S)

        if turn % 2:
            plain.append(timed_s(by_loop))
        ours.append(timed_s(by_build))
        if not turn % 2:
            plain.append(timed_s(by_loop))
    return ours, plain


def timed_s(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def latencies_ms(
    vectors: VectorStore, writer: CollectionWriter, queries: np.ndarray, at_once: int, calls: int
) -> list[float]:
    """Milliseconds a query of some searches for 50 clips."""
    found = []
    for call in range(calls):
        rows = np.arange(call * at_once, (call + 1) * at_once) % len(queries)
        start = time.perf_counter()
        vectors.search(writer.collection, queries[rows], 50, writer.ann.search)
        found.append(1000 * (time.perf_counter() - start) / at_once)
    return found


def spread(values: Sequence[float]) -> str:
    """Median (least)."""
    return f"{statistics.median(values):.1f} ({min(values):.1f})"


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[VectorStore]:
    """Milvus Lite in the folder, or a server with its data there."""
    with ExitStack() as stack:
        uri = LITE if kind == LITE else stack.enter_context(milvus.running(folder)).uri
        vectors = VectorStore.open(uri, str(folder))
        stack.callback(vectors.close)
        yield vectors


def measure(kind: str, clips: int, calls: int, index_type: str) -> tuple[list[str], str, float]:
    """A row of the table, what the build said, and the ratio of the rows a second."""
    data = vectors_of(clips, seed=0)
    own = data[np.random.default_rng(1).choice(clips, min(QUERIES, clips), replace=False)]
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench") as folder, ExitStack() as stack:
        vectors = stack.enter_context(opened(kind, Path(folder)))
        vectors.create("ours", DIM)
        sink = BackgroundInserts(vectors)
        stack.callback(sink.close)
        writer = CollectionWriter(vectors, sink, "ours", "clip_id", "clips", RecallCheck(own, 0.95))
        ours, bare = load_by_turns(vectors, sink, writer, "bare", data)
        vectors.drop("bare")
        config = IndexConfig.of({"tables": "T", "index": "I", "index_type": index_type})
        indexed_s = timed_s(lambda: writer.make_index(config, lambda doing: None))
        writer.verify()
        checked_s = timed_s(lambda: writer.measure(said.append))
        queries = noisy(own)
        single = latencies_ms(vectors, writer, queries, 1, calls)
        batched = latencies_ms(vectors, writer, queries, BATCH, max(3, calls // 10))
        version = vectors.version
    ratio = sum(bare) / sum(ours)
    figures = writer.ann.recall
    row = [
        version,
        f"{writer.index_type} {json.dumps(writer.ann.search)}",
        f"{clips / sum(ours):.0f}",
        f"{clips / sum(bare):.0f}",
        f"{ratio:.2f} ({statistics.median(b / o for b, o in zip(bare, ours, strict=True)):.2f})",
        f"{indexed_s:.0f}",
        f"{checked_s:.1f}",
        f"{figures.own:.3f} / {figures.noisy:.3f}" if figures else "",
        spread(single),
        spread(batched),
    ]
    return row, said[0], ratio


def _where(only: str | None) -> str:
    return {None: "", LITE: " Lite", "server": " (a server)"}[only]


def main() -> None:
    """Measure both, tell, and keep with --keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=60, help="single searches; a tenth as many in batches")
    parser.add_argument("--only", choices=[LITE, "server"], help="default: both")
    parser.add_argument("--index-type", default="auto")
    parser.add_argument("--keep", action="store_true", help="enter the result into BENCHMARKS.md")
    args = parser.parse_args()
    head = [
        "Milvus", "index", "build rows/s", "bare rows/s", "build / bare (median of turns)", "index s", "check s",
        "recall@50 own / noisy", "single ms, p50 (min)", f"of {BATCH}: ms a query, p50 (min)",
    ]  # fmt: skip
    rows, notes = [head], []
    for kind in [args.only] if args.only else [LITE, "server"]:
        row, said, _ = measure(kind, args.clips, args.calls, args.index_type)
        rows.append(row)
        notes.append(f"{row[0]}: {said}")
    tell(
        f"{args.clips:,} vectors of {DIM} numbers in Milvus{_where(args.only)}: loading, recall, latency",
        f"make bench ONLY=benchmarks/bench_milvus_100k.py ARGS='--clips {args.clips} --calls {args.calls}"
        f"{f' --only {args.only}' if args.only else ''}'",
        rows,
        [
            f"by turns of {TURN} rows, {AT_ONCE} a message; baseline: pymilvus's insert in a loop over rows made "
            "beforehand; the build makes its rows from Arrow, checks them and finds the exact best of 400 queries",
            f"index s: from the last row to an index in memory; check s: recall of {QUERIES} own and {QUERIES} noisy "
            "vectors for 50 rows, beside brute force; latency: noisy ones, 50 rows with all columns",
            *notes,
        ],
        keep=args.keep,
    )


if __name__ == "__main__":
    main()
