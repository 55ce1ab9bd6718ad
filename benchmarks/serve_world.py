"""What the phases of `benchmarks/serve.py` share: an index of two versions, the right answers, a place for figures."""

import random
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.open_loop import Expected, Load, Summary
from models.registry import load_model
from pipeline.index.build import build_index
from pipeline.index.switch import publish
from pipeline.index.versions import read_manifest
from pipeline.search import Searcher
from pipeline.storage import Store
from schemas.index_config import IndexConfig
from schemas.manifest import LITE
from tests.e2e.serving import Service
from tests.tables_factory import make_tables

K, RECALL_K = 10, 50
MODEL: Final = "reelsift-tiny"
_WORDS: Final = (
    ("small", "large", "tiny", "huge"),
    ("red", "green", "blue", "yellow", "white", "purple"),
    ("star", "circle", "square", "triangle", "cross"),
    ("on a black background", "moving left", "moving up", "beside a ring", "that turns"),
    ("at dusk", "in the rain", "for a moment", "again and again", "twice", "slowly"),
)


@dataclass
class World:
    """What all phases share."""

    root: Path
    service: Service
    expected: Expected
    queries: tuple[str, ...]
    rows: list[list[str]] = field(default_factory=lambda: [["phase", "figure", "value"]])
    saturation: float = 0.0

    def load(self, rate: float, seconds: float, seed: int) -> Load:
        """A load on the service."""
        body = {"k": K, "recall_k": RECALL_K}
        return Load(self.service.url, self.queries, rate, seconds, self.expected, seed, body)

    def add(self, phase: str, figure: str, value: str) -> None:
        """One figure, told at once."""
        self.rows.append([phase, figure, value])
        print(f"{phase}: {figure}: {value}", file=sys.stderr, flush=True)


def queries_of(count: int) -> tuple[str, ...]:
    """Different texts."""
    rng = random.Random(5)
    found: dict[str, None] = {}
    while len(found) < count:
        found[" ".join(["a", *(rng.choice(words) for words in _WORDS)])] = None
    return tuple(found)


def make_index(root: Path, clips: int, milvus_uri: str | None, versions: int = 2, **settings: Any) -> None:
    """Versions of so many clips each, from random tokens of the shipped model's sizes; the first is published.

    Args:
        root: INDEX is the folder "index" in it.
        clips: of each version.
        milvus_uri: None for Milvus Lite.
        versions: how many.
        settings: more of `IndexConfig`.
    """
    model = load_model(MODEL)
    for seed in range(1, versions + 1):
        tables = str(root / f"tables-{seed}")
        make_tables(
            Store(tables),
            num_videos=-(-clips // 4),
            clips_per_video=4,
            shape=model.token_shape,
            model_id=model.model_id,
            model=MODEL,
            seed=seed,
            videos_per_task=32,
        )
        build_index(IndexConfig(tables=tables, index=str(root / "index"), milvus=milvus_uri or LITE, **settings))
    publish(Store(str(root / "index")), 1)


def expected_of(root: Path, queries: tuple[str, ...]) -> Expected:
    """The answers of `reelsift search` for both versions."""
    index = Store(str(root / "index"))
    answers = {}
    for version in (1, 2):
        with closing(Searcher.open_version(index, read_manifest(index, version))) as searcher:
            answers[version] = {
                query: [(hit.clip_id, hit.score) for hit in searcher.search(query, K, RECALL_K).hits]
                for query in queries
            }
    return answers


def told(got: Summary) -> str:
    """A load in a line."""
    text = f"good {got.goodput:.1f}/s, p50 {got.p50_ms:.1f} ms, p99 {got.p99_ms:.1f} ms"
    if got.refused:
        text += f", refused {100 * got.refused:.1f} % (p50 {got.refused_p50_ms:.1f} ms)"
    return text + (f", errors {100 * got.errors:.2f} %" if got.errors else "")
