"""Ranks and what is read off them, one implementation for training's validation and for evaluation. Pure.

Shapes: Q queries, I items, k candidates. `own` marks the items that answer a query, `rival` those that do not; an item
may be neither (another caption of the same video), and then counts for nothing.

Tie rule: a rival of equal score counts as better, so the rank is the worst that any order of the equal ones gives. A
query whose items all score alike has the rank I, never 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.candidates import unite
from schemas.recall import RecallMode

RECALL_DEPTHS = (1, 5, 10, 50)


def own_ranks(score_QI: Tensor, own_QI: Tensor, rival_QI: Tensor | None = None) -> Tensor:
    """The rank of each query's best own item, Q int64, 1 the best.

    Args:
        score_QI: higher is better.
        own_QI: bool, at least one a row.
        rival_QI: bool; None for all items that are not own.

    >>> own_ranks(torch.tensor([[0.5, 0.9, 0.5]]), torch.tensor([[True, False, False]])).tolist()
    [3]
    """
    rivals_QI = ~own_QI if rival_QI is None else rival_QI
    best_Q1 = score_QI.masked_fill(~own_QI, float("-inf")).amax(1, keepdim=True)
    # Written as "not worse", so that a score that is no number is never a better rank.
    return 1 + (rivals_QI & ~(score_QI < best_Q1)).sum(1)


def candidate_order(score_QI: Tensor, own_QI: Tensor, depth: int) -> Tensor:
    """The `depth` best items of each query, best first, Q x depth int64.

    Among equal scores an own item comes last and the others come in their order, as the tie rule wants.

    >>> candidate_order(torch.tensor([[0.5, 0.9, 0.5]]), torch.tensor([[True, False, False]]), 3).tolist()
    [[1, 2, 0]]
    """
    below_QI = torch.nextafter(score_QI, torch.full_like(score_QI, float("-inf")))
    lowered_QI = torch.where(own_QI, below_QI, score_QI)
    return lowered_QI.sort(dim=1, descending=True, stable=True).indices[:, :depth]


def united_order(mode: RecallMode, coarse_Qk: Tensor, frames_Qk: Tensor) -> Tensor:
    """The candidates of a recall mode, best first, as many as each of the two orders has.

    The first k of them are the candidates for a limit of k: both orders are taken in turn.

    >>> united_order("both", torch.tensor([[0, 1, 2]]), torch.tensor([[4, 0, 5]])).tolist()
    [[0, 4, 1]]
    """
    if mode == "coarse":
        return coarse_Qk
    if mode == "frames":
        return frames_Qk
    depth = coarse_Qk.shape[1]
    rows = zip(coarse_Qk.tolist(), frames_Qk.tolist(), strict=True)
    return torch.tensor([unite(coarse, frames, depth) for coarse, frames in rows], dtype=torch.int64)


def two_stage_ranks(
    fine_QI: Tensor, coarse_QI: Tensor, candidates_Qk: Tensor, own_QI: Tensor, rival_QI: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Ranks when only the candidates are scored finely: they come first, and the others follow by coarse score.

    Args:
        fine_QI: the final score; only that of candidates is looked at.
        coarse_QI: the score of all others.
        candidates_Qk: the items that stage 2 sees, different ones in a row.
        own_QI: bool.
        rival_QI: bool; None for all items that are not own.

    Returns:
        The ranks, Q int64, and whether an own item was among the candidates, Q bool.

    >>> fine, coarse = torch.tensor([[0.1, 0.9, 0.3]]), torch.tensor([[0.9, 0.2, 0.5]])
    >>> own = torch.tensor([[False, False, True]])
    >>> [tensor.tolist() for tensor in two_stage_ranks(fine, coarse, torch.tensor([[0, 2]]), own)]
    [[1], [True]]
    """
    rivals_QI = ~own_QI if rival_QI is None else rival_QI
    own_Qk, rival_Qk = own_QI.gather(1, candidates_Qk), rivals_QI.gather(1, candidates_Qk)
    found_Q = own_Qk.any(1)
    ranks_Q = own_ranks(fine_QI.gather(1, candidates_Qk), own_Qk, rival_Qk)
    lost_Q = ~found_Q
    if lost_Q.any():
        left_QI = rivals_QI[lost_Q].scatter(1, candidates_Qk[lost_Q], False)
        ranks_Q[lost_Q] = rival_Qk[lost_Q].sum(1) + own_ranks(coarse_QI[lost_Q], own_QI[lost_Q], left_QI)
    return ranks_Q, found_Q


def recall(ranks_Q: Tensor, k: int) -> float:
    """Percent of the ranks that are at most k.

    >>> recall(torch.tensor([1, 2, 11, 1]), 1)
    50.0
    """
    return 100.0 * float((ranks_Q <= k).double().mean())


def rank_figures(ranks_Q: Tensor, depths: Sequence[int] = RECALL_DEPTHS) -> dict[str, float]:
    """R@k in percent, median and mean rank, rounded to two places.

    >>> rank_figures(torch.tensor([1, 2, 11, 1]))
    {'R@1': 50.0, 'R@5': 75.0, 'R@10': 75.0, 'R@50': 100.0, 'MdR': 1.5, 'MnR': 3.75}
    """
    figures = {f"R@{k}": recall(ranks_Q, k) for k in depths}
    figures["MdR"] = float(ranks_Q.double().quantile(0.5))
    figures["MnR"] = float(ranks_Q.double().mean())
    return {name: round(value, 2) for name, value in figures.items()}


def dual_softmax(score_TB: Tensor, temperature: float = 0.01) -> Tensor:
    """DSL: each score times the softmax of its clip over ALL texts of the set (Cheng et al. 2021, CAMoE).

    It needs every query at once, so no service can answer by it: offline only, never a headline figure.

    >>> dual_softmax(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), 1.0)[:, 1].tolist()
    [0.5, 0.5]
    """
    return score_TB * (score_TB / temperature).softmax(0)
