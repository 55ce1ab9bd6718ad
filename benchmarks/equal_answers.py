"""The service answers as `reelsift search` does, with 1, 2 and 4 rerank shards: ids, order, stages and scores.

Queries are generated: texts of many words and none of meaning, every way of recall, several sizes, every fourth one
with a filter. The service runs over Ray with its own processes and is asked over HTTP; the command's search runs in
this process, on the same published version.
"""

import argparse
import random
import shlex
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.report import tell
from benchmarks.serve_world import make_index, queries_of
from pipeline.client import Client
from pipeline.index.versions import live_manifest
from pipeline.search import Searcher
from pipeline.serving.shard_assignment import parts_of_files
from pipeline.storage import Store
from schemas.filters import parse_filter
from schemas.manifest import VersionManifest
from schemas.recall import RECALL_MODES
from schemas.results import SearchResult
from tests.e2e.serving import running_service
from tests.servers import milvus

_SIZES: Final = ((10, 50), (1, 10), (25, 100), (200, 20))
_FILTER: Final = '{"field": "start_s", "op": ">", "value": 0}'
_FILTERED_EVERY: Final = 4
_STRANGE: Final = ("Ünïcödé 日本", "!?", "x" * 200, "the the the", "1234567890", "🙂 smile")
# Enough that searches wait for one another in each part, and are answered together.
_ASKERS: Final = 24
_MANY: Final = {"max_wait_ms": "60000"}
# Scores of a candidate depend in their last bits on the candidates beside it in a block, and shards make other blocks.
_TOLERANCE: Final = 1e-5


@dataclass(frozen=True)
class Question:
    """One generated query."""

    text: str
    k: int
    recall_k: int
    recall: Any
    filter: str | None


@dataclass
class Compared:
    """What became of a comparison."""

    equal: int = 0
    different: int = 0
    degraded: int = 0
    largest: float = 0.0
    first: str = ""


def main() -> None:
    """Ask both, compare, and tell."""
    args = _arguments()
    torch.set_num_threads(1)
    rows = [
        ["rerank shards", "clips of each", "queries", "equal", "different", "degraded", "largest difference of scores"]
    ]
    compared = []
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-equal-")))
        uri = stack.enter_context(milvus.running(root)).uri if args.milvus == "server" else None
        make_index(root, args.clips, uri, versions=1, shard_bytes=args.shard_bytes)
        questions = _questions(args.queries)
        expected = _searched(root, questions)
        manifest = live_manifest(Store(str(root / "index")))
        for parts in args.shards:
            found = _served(root, parts, questions, expected)
            compared.append(found)
            rows.append(_row(parts, manifest, len(questions), found))
            print(" | ".join(rows[-1]), found.first, file=sys.stderr, flush=True)
    tell(
        f"Answers of the service and of `reelsift search`, {args.queries} generated queries, Milvus {args.milvus}",
        f"make bench ONLY=benchmarks/equal_answers.py ARGS='{args.line}'",
        rows,
        [
            f"{args.clips} clips in {len(manifest.shards)} files of fine tokens; recall "
            f"{', '.join(RECALL_MODES)} in turn; k and recall_k {', '.join(map(str, _SIZES))}; every "
            f"{_FILTERED_EVERY}th with a filter; {_ASKERS} at once over HTTP, through Ray",
            "equal: the same clips in the same order, of the same stages and best moments, scores within "
            f"{_TOLERANCE:g}",
        ],
        keep=args.keep,
    )
    if any(found.different or found.degraded for found in compared):
        raise SystemExit(1)


def _questions(count: int) -> list[Question]:
    rng = random.Random(11)
    texts = [*_STRANGE, *queries_of(count)][:count]
    rng.shuffle(texts)
    return [
        Question(
            text, *rng.choice(_SIZES), RECALL_MODES[place % len(RECALL_MODES)],
            _FILTER if place % _FILTERED_EVERY == 0 else None,
        )
        for place, text in enumerate(texts)
    ]  # fmt: skip


def _searched(root: Path, questions: list[Question]) -> list[SearchResult]:
    with closing(Searcher.open(str(root / "index"))) as searcher:
        return [
            searcher.search(
                each.text, each.k, each.recall_k, each.recall, parse_filter(each.filter) if each.filter else None
            )
            for each in questions
        ]


def _served(root: Path, parts: int, questions: list[Question], expected: list[SearchResult]) -> Compared:
    flags = [word for name, value in _MANY.items() for word in ("--set", f"{name}={value}")]
    lock, compared = threading.Lock(), Compared()
    with running_service(root, "--rerank-shards", str(parts), *flags) as service:
        service.wait_for_line()
        service.wait_ready(120)
        with Client(service.url, timeout_s=120) as client, ThreadPoolExecutor(_ASKERS) as pool:

            def ask(place: int) -> None:
                one, wanted = questions[place], expected[place]
                narrowed = parse_filter(one.filter) if one.filter else None
                got = client.search(one.text, k=one.k, recall_k=one.recall_k, recall=one.recall, filter=narrowed)
                with lock:
                    _note(compared, one, got, wanted)

            list(pool.map(ask, range(len(questions))))
    return compared


def _note(compared: Compared, question: Question, got: SearchResult, wanted: SearchResult) -> None:
    compared.degraded += bool(got.degraded)
    differences = [abs(mine.score - other.score) for mine, other in zip(got.hits, wanted.hits, strict=False)]
    same = _facts(got) == _facts(wanted) and max(differences, default=0.0) <= _TOLERANCE
    if same:
        compared.equal += 1
        compared.largest = max([compared.largest, *differences])
        return
    compared.different += 1
    compared.first = compared.first or f"{question}: {_facts(got)[:3]} instead of {_facts(wanted)[:3]}"


def _facts(result: SearchResult) -> list[tuple[object, ...]]:
    return [(hit.rank, hit.clip_id, hit.stage, hit.best_s, result.version, result.recall) for hit in result.hits]


def _row(parts: int, manifest: VersionManifest, queries: int, found: Compared) -> list[str]:
    clips = [shard.clips for shard in manifest.shards]
    shares = [0] * parts
    for part, count in zip(parts_of_files(clips, parts), clips, strict=True):
        shares[part] += count
    counts = (queries, found.equal, found.different, found.degraded)
    return [str(parts), ", ".join(map(str, shares)), *map(str, counts), f"{found.largest:.1e}"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--milvus", choices=("lite", "server"), default="server", help="default server")
    parser.add_argument("--clips", type=int, default=1000, help="default 1000")
    parser.add_argument("--queries", type=int, default=1000, help="default 1000")
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2, 4], help="default 1 2 4")
    parser.add_argument("--shard-bytes", type=int, default=1 << 21, help="of a file of fine tokens (default 2 MiB)")
    parser.add_argument("--keep", action="store_true", help="enter the figures into BENCHMARKS.md")
    args = parser.parse_args()
    args.line = shlex.join(sys.argv[1:])
    return args


if __name__ == "__main__":
    main()
