"""From scores to ranks and figures, in both directions, for all queries and for each group of them.

Shapes: T captions, B clips, Q queries, I items; T x B is text to video, its transpose video to text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.evaluation.scores import Scores
from pipeline.metrics import (
    candidate_order,
    dual_softmax,
    own_ranks,
    rank_figures,
    recall,
    two_stage_ranks,
    united_order,
)
from schemas.evaluation import Figures, Slice, Sweep, Ways
from schemas.recall import RECALL_MODES, RecallMode

_QUERIES_AT_ONCE = 512

# For the rows of some queries: which items are own, and which are rivals.
Judge = Callable[[slice], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class RankTable:
    """Ranks of Q queries by every way.

    Attributes:
        coarse_Q: by the coarse score alone.
        exhaustive_Q: by the final score of all items.
        two_stage: by recall mode and k: the ranks, and whether an own item was among the candidates.
    """

    coarse_Q: Tensor
    exhaustive_Q: Tensor
    two_stage: dict[tuple[RecallMode, int], tuple[Tensor, Tensor]]

    def take(self, chosen_Q: Tensor) -> "RankTable":
        """The same for some of the queries, a bool for each or their numbers."""
        two_stage = {key: (ranks_Q[chosen_Q], found_Q[chosen_Q]) for key, (ranks_Q, found_Q) in self.two_stage.items()}
        return RankTable(self.coarse_Q[chosen_Q], self.exhaustive_Q[chosen_Q], two_stage)

    def ranks(self, mode: RecallMode, k: int) -> dict[str, Tensor]:
        """The ranks of each way, with one two-stage search among them."""
        return {"coarse": self.coarse_Q, "two_stage": self.two_stage[mode, k][0], "exhaustive": self.exhaustive_Q}

    def ways(self, mode: RecallMode, k: int) -> Ways:
        """Figures of each way."""
        return {way: rank_figures(ranks_Q) for way, ranks_Q in self.ranks(mode, k).items()}

    def sweep(self) -> Sweep:
        """Two-stage figures by recall mode and k; `recalled` is the percent of queries with an own candidate."""
        found: Sweep = {mode: {} for mode in RECALL_MODES}
        for (mode, k), (ranks_Q, found_Q) in self.two_stage.items():
            recalled = round(100.0 * float(found_Q.double().mean()), 2)
            found[mode][k] = rank_figures(ranks_Q) | {"recalled": recalled}
        return found


def rank_texts(scores: Scores, clip_T: Tensor, depths: Sequence[int]) -> RankTable:
    """Text to video: every caption is a query with one own clip, `clip_T`."""
    clips_B = torch.arange(scores.coarse_TB.shape[1])

    def judge(rows: slice) -> tuple[Tensor, Tensor]:
        own_QI = clip_T[rows, None] == clips_B
        return own_QI, ~own_QI

    return _rank(scores, torch.arange(len(clip_T)), judge, depths)


def rank_videos(scores: Scores, clip_T: Tensor, right_T: Tensor, depths: Sequence[int]) -> RankTable:
    """Video to text: every clip with a right caption is a query over all captions.

    Args:
        scores: of all captions and clips.
        clip_T: the clip of each caption.
        right_T: bool; other captions of the same clip count neither for nor against it.
        depths: numbers of candidates.
    """
    asked_Q = torch.unique(clip_T[right_T])

    def judge(rows: slice) -> tuple[Tensor, Tensor]:
        same_QI = asked_Q[rows, None] == clip_T
        return same_QI & right_T, ~same_QI

    return _rank(scores.by_clip(), asked_Q, judge, depths)


def _rank(scores: Scores, asked_Q: Tensor, judge: Judge, depths: Sequence[int]) -> RankTable:
    parts = []
    for start in range(0, len(asked_Q), _QUERIES_AT_ONCE):
        rows = slice(start, min(start + _QUERIES_AT_ONCE, len(asked_Q)))
        parts.append(_rank_block(scores.rows(asked_Q[rows]), judge(rows), depths))
    two_stage = {}
    for key in parts[0].two_stage:
        ranks, found = zip(*(part.two_stage[key] for part in parts), strict=True)
        two_stage[key] = torch.cat(ranks), torch.cat(found)
    coarse_Q, exhaustive_Q = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("coarse_Q", "exhaustive_Q")
    )
    return RankTable(coarse_Q, exhaustive_Q, two_stage)


def _rank_block(scores: Scores, judged: tuple[Tensor, Tensor], depths: Sequence[int]) -> RankTable:
    own_QI, rival_QI = judged
    coarse_Qk, frames_Qk = (
        candidate_order(score_QI, own_QI, max(depths)) for score_QI in (scores.coarse_TB, scores.frames_TB)
    )
    two_stage = {}
    for mode in RECALL_MODES:
        order_Qk = united_order(mode, coarse_Qk, frames_Qk)
        for k in depths:
            two_stage[mode, k] = two_stage_ranks(scores.fine_TB, scores.coarse_TB, order_Qk[:, :k], own_QI, rival_QI)
    return RankTable(
        own_ranks(scores.coarse_TB, own_QI, rival_QI), own_ranks(scores.fine_TB, own_QI, rival_QI), two_stage
    )


@dataclass(frozen=True)
class Headline:
    """Which two-stage search the headline is of."""

    mode: RecallMode
    k: int

    def slice(self, texts: RankTable, videos: RankTable | None = None) -> Slice:
        """Figures of some captions and, where they are a group, of their videos."""
        return Slice(
            queries=len(texts.coarse_Q),
            t2v=texts.ways(self.mode, self.k),
            sweep=texts.sweep(),
            v2t=videos.ways(self.mode, self.k) if videos else None,
            v2t_sweep=videos.sweep() if videos else None,
        )


def with_misses(ways_ranks: dict[str, Tensor], absent: int) -> Ways:
    """R@k of each way if so many further queries had all missed.

    >>> with_misses({"coarse": torch.tensor([1, 1, 1])}, absent=1)["coarse"]["R@1"]
    75.0
    """
    return {way: _recall_with_misses(ranks_Q, absent) for way, ranks_Q in ways_ranks.items()}


def _recall_with_misses(ranks_Q: Tensor, absent: int) -> Figures:
    share = len(ranks_Q) / (len(ranks_Q) + absent)
    return {f"R@{k}": round(recall(ranks_Q, k) * share, 2) for k in (1, 5, 10, 50)}


def offline_figures(scores: Scores, clip_T: Tensor) -> dict[str, Ways]:
    """Figures with dual softmax over all queries of the set, in both directions; two stages cannot have it."""
    own_TB = clip_T[:, None] == torch.arange(scores.fine_TB.shape[1])
    asked_Q = torch.unique(clip_T)
    found: dict[str, Ways] = {"t2v": {}, "v2t": {}}
    for way, score_TB in (("coarse", scores.coarse_TB), ("exhaustive", scores.fine_TB)):
        found["t2v"][way] = rank_figures(own_ranks(dual_softmax(score_TB), own_TB))
        found["v2t"][way] = rank_figures(own_ranks(dual_softmax(score_TB.T[asked_Q]), own_TB.T[asked_Q]))
    return found
