"""The cost section of a report: multiply-adds by formula beside measured seconds, of one run."""

from collections.abc import Sequence

from torch import Tensor

from pipeline.evaluation.cost import exhaustive_macs, paper_pair_macs, paper_table, query_macs, recall_macs
from pipeline.evaluation.stages import TwoStages
from pipeline.evaluation.timing import EXHAUSTIVE, time_queries
from schemas.evaluation import Cost, PaperRow
from schemas.recall import RECALL_MODES, RecallMode


def measured_cost(stages: TwoStages, text_TD: Tensor, mode: RecallMode, k: int) -> Cost:
    """Time these queries, and count what they multiply.

    Args:
        stages: what is searched.
        text_TD: the queries, at least one.
        mode: recall mode of the headline.
        k: candidates.
    """
    shape, clips, fusion = stages.gallery.shape, len(stages.gallery.clips), stages.scoring.fusion
    timing = time_queries(stages, text_TD, k)
    two_macs = {one: float(query_macs(one, shape, fusion, clips, k)) for one in RECALL_MODES}
    two_seconds = {one: timing.two_stage_s(one) for one in RECALL_MODES}
    all_macs, all_seconds = float(exhaustive_macs(shape, fusion, clips)), timing.wall_s[EXHAUSTIVE]
    return Cost(
        macs={"coarse": float(recall_macs("coarse", shape, clips)), "two_stage": two_macs[mode], "exhaustive": all_macs}
        | {f"two_stage_{one}": macs for one, macs in two_macs.items()},
        macs_ratio={one: round(all_macs / macs, 2) for one, macs in two_macs.items()},
        seconds=timing.wall_s
        | {"coarse": timing.wall_s["recall_coarse"], "two_stage": two_seconds[mode]}
        | {f"two_stage_{one}": seconds for one, seconds in two_seconds.items()},
        seconds_ratio={one: round(all_seconds / seconds, 2) for one, seconds in two_seconds.items()},
        cpu_seconds=timing.cpu_s,
        cpu_ratio={one: round(timing.cpu_s[EXHAUSTIVE] / timing.two_stage_cpu_s(one), 2) for one in RECALL_MODES},
        queries=timing.queries,
        threads=timing.threads,
        paper_macs={
            "two_stage": paper_pair_macs(shape, clips, k),
            "exhaustive": paper_pair_macs(shape, clips, clips),
        },
    )


def macs_by_depth(stages: TwoStages, depths: Sequence[int]) -> dict[str, dict[int, float]]:
    """MACs of a query by recall mode and number of candidates."""
    gallery = stages.gallery
    return {
        mode: {k: float(query_macs(mode, gallery.shape, stages.scoring.fusion, len(gallery.clips), k)) for k in depths}
        for mode in RECALL_MODES
    }


def paper_rows() -> list[PaperRow]:
    """The paper's cost table for the report."""
    return [
        PaperRow(
            name=row.paper.name,
            clips=row.paper.clips,
            frames=row.paper.frames,
            words=row.paper.words,
            two_stage_macs=round(row.two_stage, 2),
            token_wise_macs=row.token_wise,
            ratio=round(row.ratio, 2),
            claimed=row.paper.claimed,
        )
        for row in paper_table()
    ]
