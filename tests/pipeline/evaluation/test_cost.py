import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.reranking import score_pairs
from models.scoring import video_score
from models.stored_clips import StoredClips
from models.token_sets import Pairs, PlainTokens
from pipeline.evaluation.cost import exhaustive_macs, paper_table, query_macs, recall_macs, rerank_macs
from schemas.scoring import Fusion, ScoringParams
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


class Counting(PlainTokens):
    """Tokens that count what is multiplied with them."""

    macs = 0

    def dots(self, pairs):
        Counting.macs += len(pairs) * self.count * self.dim
        return super().dots(pairs)

    def mixed_norms(self, weight_PN, clip_P):
        Counting.macs += len(clip_P) * (self.count + 1) * self.dim
        return super().mixed_norms(weight_PN, clip_P)


@pytest.mark.parametrize("fusion", [Fusion(), Fusion(strong_patch=0.1)])
def test_our_formula_counts_what_the_score_really_multiplies(fusion):
    clips, frames = 7, SHAPE.frames
    sets = [Counting.of(np.ones((clips, n, SHAPE.dim), np.float16)) for n in (frames, frames, frames * SHAPE.patches)]
    mix = tuple(tuple(row) for row in np.eye(frames).tolist())
    pairs = Pairs.of_one(np.ones(SHAPE.dim, np.float32), clips)
    Counting.macs = 0
    score_pairs(
        pairs,
        StoredClips(*sets, np.ones((clips, frames), np.uint8)),
        np.ones(clips, np.float32),
        ScoringParams(fusion=fusion, frame_mix=mix),
    )
    mixed = clips * frames * frames  # A is no token
    assert Counting.macs + mixed == clips * rerank_macs(SHAPE, fusion)


def test_the_coarse_formula_counts_what_the_coarse_score_multiplies():
    counter = FlopCounterMode(display=False)
    with counter:
        video_score(torch.rand(1, SHAPE.dim), torch.eye(SHAPE.dim), torch.rand(7, SHAPE.dim))
    assert counter.get_total_flops() // 2 == recall_macs("coarse", SHAPE, 7)


def test_two_stages_over_all_clips_multiply_what_the_exhaustive_search_does():
    assert query_macs("coarse", SHAPE, Fusion(), 100, k=500) == exhaustive_macs(SHAPE, Fusion(), 100)


def test_recall_by_both_costs_both_and_the_rerank_stays():
    coarse, frames, both = (query_macs(mode, SHAPE, Fusion(), 100, 10) for mode in ("coarse", "frames", "both"))
    rerank = 10 * rerank_macs(SHAPE, Fusion())
    assert both - rerank == recall_macs("coarse", SHAPE, 100) + recall_macs("frames", SHAPE, 100)
    assert coarse < frames < both
