"""The demo: real and generated videos through the whole path, and queries whose answers are known."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from pipeline.contact_sheet import contact_sheet
from pipeline.extraction import extract
from pipeline.index.build import build_index
from pipeline.index.switch import publish
from pipeline.index.versions import live_manifest
from pipeline.sample_clips import copy_samples
from pipeline.search import Searcher
from pipeline.storage import Store
from pipeline.synthetic.dataset import make_dataset
from pipeline.thumbnail import frame_at
from schemas.config import DemoConfig, ExtractConfig
from schemas.data_config import DataConfig, SamplesConfig
from schemas.errors import IndexMissingError
from schemas.index_config import IndexConfig
from schemas.results import ExtractSummary, SearchHit, SearchResult

_QUERIES = 4
_RECALL_K = 50
Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoPlaces:
    """Where everything of a demo lies, below one folder."""

    root: Path

    @property
    def generated(self) -> Path:
        """Generated videos and their captions."""
        return self.root / "generated"

    @property
    def real(self) -> Path:
        """Real clips and their credits."""
        return self.root / "real"

    @property
    def tables(self) -> Path:
        """What extraction wrote."""
        return self.root / "tables"

    @property
    def index(self) -> Path:
        """What searches read."""
        return self.root / "index"

    @property
    def sheet(self) -> Path:
        """The contact sheet."""
        return self.root / "contact_sheet.png"


@dataclass(frozen=True)
class KnownQuery:
    """A query and the file that it was written for."""

    text: str
    file_name: str

    def rank_in(self, result: SearchResult) -> int | None:
        """The rank of a clip of that file, or None if it is not among the hits."""
        ranks = [hit.rank for hit in result.hits if hit.uri.rsplit("/", 1)[-1] == self.file_name]
        return min(ranks, default=None)


@dataclass(frozen=True)
class DemoOutcome:
    """What the demo has to show."""

    answers: list[tuple[KnownQuery, SearchResult]]
    places: DemoPlaces
    clips: int
    model_id: str


def run_demo(config: DemoConfig, say: Say) -> DemoOutcome:
    """Make or take what is there already, step by step; a second run changes nothing and is quick.

    Args:
        config: what to make, and where.
        say: shows one line to a person.
    """
    places = DemoPlaces(Path(config.out).absolute())
    queries = _videos(config, places, say)
    summary = _extract(config, places, say)
    _index(summary, places, say)
    answers = _search(queries, config.k, places)
    _draw(answers, config.k, places)
    return DemoOutcome(answers, places, summary.clips, summary.model_id)


def known_queries(captions: Path, count: int) -> list[KnownQuery]:
    """The first queries of a captions.jsonl that describe a whole video, each with its video's file name.

    Relations are left out: contrastive models hardly tell "left of" from "right of".
    """
    rows = [json.loads(line) for line in captions.read_text(encoding="utf-8").splitlines()]
    whole = [row for row in rows if row["group"] == "gist" and not row["attributes"].get("relation")]
    return [KnownQuery(row["caption"], Path(row["video"]).name) for row in whole[:count]]


def _videos(config: DemoConfig, places: DemoPlaces, say: Say) -> list[KnownQuery]:
    data = DataConfig(out=str(places.generated), videos=config.videos, seed=config.seed)
    generated = make_dataset(data)
    say(f"1/5 videos   {generated.videos} generated ({generated.made} new), in {_short(places.generated)}")
    real = copy_samples(SamplesConfig(out=str(places.real)))
    missing = f"; not to be had here: {', '.join(sorted(real.missing))}" if real.missing else ""
    credit = f"credits in {_short(places.real)}/ATTRIBUTION.txt"
    say(f"             {real.clips} real clips ({real.made} new), {credit}{missing}")
    return known_queries(places.generated / "captions.jsonl", _QUERIES)


def _extract(config: DemoConfig, places: DemoPlaces, say: Say) -> ExtractSummary:
    start = time.monotonic()
    summary = extract(
        ExtractConfig(
            input=[str(places.generated / "videos"), str(places.real / "videos")],
            tables=str(places.tables),
            model=config.model,
        )
    )
    say(
        f"2/5 extract  {summary.processed} videos decoded and encoded in {time.monotonic() - start:.0f} s; "
        f"tables hold {summary.done} done, {summary.quarantined} quarantined, {summary.clips} clips"
    )
    return summary


def _index(summary: ExtractSummary, places: DemoPlaces, say: Say) -> None:
    try:
        live = live_manifest(Store(str(places.index)))
        if (live.clips, live.model_id) == (summary.clips, summary.model_id) and not summary.processed:
            say(f"3/5 index    version {live.version} is up to date: {live.clips} clips")
            say("4/5 publish  it is live already")
            return
    except IndexMissingError:
        pass
    built = build_index(IndexConfig(tables=str(places.tables), index=str(places.index)))
    say(
        f"3/5 index    version {built.version}: {built.clips} clips and {built.frame_rows} frames in Milvus Lite, "
        f"{built.bytes_per_clip} bytes a clip"
    )
    publish(Store(str(places.index)), built.version)
    say(f"4/5 publish  version {built.version} is live")


def _search(queries: list[KnownQuery], k: int, places: DemoPlaces) -> list[tuple[KnownQuery, SearchResult]]:
    searcher = Searcher.open(str(places.index))
    try:
        return [(query, searcher.search(query.text, k, _RECALL_K)) for query in queries]
    finally:
        searcher.close()


def _draw(answers: list[tuple[KnownQuery, SearchResult]], columns: int, places: DemoPlaces) -> None:
    @cache
    def picture(uri: str, time_s: float, side_px: int) -> Image.Image:
        return frame_at(uri, time_s, side_px)

    def thumbnail(hit: SearchHit, side_px: int) -> Image.Image:
        return picture(hit.uri, hit.start_s if hit.best_s is None else hit.best_s, side_px)

    sheet = contact_sheet([result for _, result in answers], thumbnail, columns)
    part = places.sheet.with_suffix(".part.png")
    sheet.save(part)
    part.replace(places.sheet)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
