"""All figures of an evaluation as one report, and its page."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.eercf import EercfModel
from pipeline.datasets.dataset import CaptionedVideos
from pipeline.evaluation.clips import EmbeddedVideos
from pipeline.evaluation.measure import macs_by_depth, measured_cost, paper_rows
from pipeline.evaluation.page import render_page
from pipeline.evaluation.pictures import pictures_of
from pipeline.evaluation.plots import rank_buckets
from pipeline.evaluation.protocol import Headline, RankTable, offline_figures, with_misses
from pipeline.evaluation.scores import Scores
from pipeline.evaluation.slices import Slicer
from pipeline.evaluation.stages import TwoStages
from pipeline.evaluation.worst import worst_queries
from pipeline.synthetic.hard_negatives import ATTRIBUTES
from pipeline.training.probes import probe
from schemas.evaluation import Absent, EvaluateConfig, EvaluationReport

# Far from the seeds that models are trained and validated with.
_PROBE_SEED = 1_000_000_007

Say = Callable[[str], None]


@dataclass
class Phases:
    """Seconds of the parts of a run, told as they begin."""

    say: Say
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str, about: str) -> Iterator[None]:
        """Time a part."""
        self.say(about)
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 3)


@dataclass(frozen=True)
class Ranked:
    """What all figures are read from."""

    videos: EmbeddedVideos
    text_TD: Tensor
    clip_T: Tensor
    scores: Scores
    texts: RankTable


def make_report(
    ranked: Ranked, model: EercfModel, config: EvaluateConfig, dataset: CaptionedVideos, phases: Phases
) -> tuple[EvaluationReport, str]:
    """The report and its page.

    Raises:
        ConfigError: a tag to break down by has too many values.
    """
    videos, gallery = ranked.videos, ranked.videos.gallery
    headline = Headline(config.recall, config.recall_k)
    with phases.part("figures", "figures by group and tag"):
        slicer = Slicer(videos.captions, ranked.clip_T, ranked.scores, ranked.texts, headline, config.depths)
        overall, groups, tags = slicer.overall(), slicer.groups(), slicer.tags(config.by)
    ranks = ranked.texts.ranks(headline.mode, headline.k)
    stages = TwoStages.of(gallery, model)
    # Spread over the set, whatever its order.
    timed = torch.linspace(0, len(ranked.text_TD) - 1, min(config.timed_queries, len(ranked.text_TD))).long()
    with phases.part("timing", f"time {len(timed)} queries one by one"):
        cost = measured_cost(stages, ranked.text_TD[timed], headline.mode, headline.k)
    with phases.part("worst", "look at the worst queries"):
        worst = worst_queries(
            videos.captions, ranked.text_TD, ranked.clip_T, ranked.texts, stages, headline, config.worst, config.by
        )
        pictures = pictures_of(worst, {clip.uri: clip.etag for clip in gallery.clips})
    probes: dict[str, float] = {}
    if config.probes:
        with phases.part("probes", f"attribute probes: {config.probes} pictures each"):
            probes = {name: round(probe(model, name, config.probes, _PROBE_SEED), 2) for name in ATTRIBUTES}
    report = EvaluationReport(
        data={"spec": config.data, "name": dataset.name, "split": dataset.split, "protocol": dataset.protocol},
        notes=list(dataset.notes),
        model=config.model,
        model_id=videos.extracted.model_id,
        recall=headline.mode,
        recall_k=headline.k,
        queries=len(videos.captions),
        clips=len(gallery.clips),
        overall=overall,
        groups=groups,
        tags=tags,
        ranks=rank_buckets(ranks, len(gallery.clips)),
        absent=_absent(videos, ranks),
        cost=cost,
        paper=paper_rows(),
        worst=worst,
        phases=phases.seconds,
        dsl=offline_figures(ranked.scores, ranked.clip_T) if config.dsl else None,
        probes=probes,
    )
    return report, render_page(report, macs_by_depth(stages, config.depths), pictures)


def _absent(videos: EmbeddedVideos, ranks: dict[str, Tensor]) -> Absent:
    names = {key: "no file" for key in videos.missing} | videos.refused
    return Absent(
        missing=len(videos.missing),
        quarantined=videos.refusals(),
        captions=videos.absent_captions,
        names=names,
        t2v_with_misses=with_misses(ranks, videos.absent_captions),
    )
