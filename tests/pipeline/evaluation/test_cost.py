import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.scoring import FineTokens, fine_scores, fuse, video_score
from pipeline.evaluation.cost import paper_table, query_macs, recall_macs, rerank_macs
from schemas.scoring import Fusion
from schemas.tables import TokenShape

SHAPE = TokenShape(frames=5, patches=3, dim=8)


def test_the_papers_table_is_reproduced():
    rows = paper_table()
    assert [(row.paper.clips, round(row.ratio, 1)) for row in rows] == [
        (1000, 13.8),
        (2990, 38.8),
        (1500, 20.4),
        (4917, 125.9),
    ]
    assert [round(row.ratio) for row in rows] == [row.paper.claimed for row in rows]
    assert (rows[0].two_stage, rows[0].token_wise) == (15_872, 219_136)
    # "Nearly 50 times" is the mean of these.
    assert round(sum(row.ratio for row in rows) / 4) == 50


@pytest.mark.parametrize("fusion", [Fusion(), Fusion(strong_patch=0.1)])
def test_our_formula_counts_what_the_score_really_multiplies(fusion):
    clips = 7
    frames, temporal = torch.rand(2, clips, SHAPE.frames, SHAPE.dim)
    patches = torch.rand(clips, SHAPE.frames * SHAPE.patches, SHAPE.dim)
    tokens = FineTokens(frames, temporal, patches, torch.ones(clips, SHAPE.frames))
    text, mix = torch.rand(1, SHAPE.dim), torch.eye(SHAPE.dim)
    counter = FlopCounterMode(display=False)
    with counter:
        fuse(
            video_score(text, mix, torch.rand(clips, SHAPE.dim)),
            fine_scores(text, tokens, torch.eye(SHAPE.frames), fusion),
            fusion,
        )
    counted = counter.get_total_flops() // 2
    assert counted == recall_macs("coarse", SHAPE, clips) + clips * rerank_macs(SHAPE, fusion)
    assert counted == query_macs("coarse", SHAPE, fusion, clips, k=clips)


def test_recall_by_both_costs_both_and_the_rerank_stays():
    coarse, frames, both = (query_macs(mode, SHAPE, Fusion(), 100, 10) for mode in ("coarse", "frames", "both"))
    rerank = 10 * rerank_macs(SHAPE, Fusion())
    assert both - rerank == recall_macs("coarse", SHAPE, 100) + recall_macs("frames", SHAPE, 100)
    assert coarse < frames < both
