import numpy as np
import pytest
import torch

from pipeline.candidates import unite
from pipeline.metrics import (
    candidate_order,
    dual_softmax,
    own_ranks,
    rank_figures,
    recall,
    two_stage_ranks,
    united_order,
)
from schemas.recall import RECALL_MODES


def diagonal(owner, items):
    return torch.tensor(owner)[:, None] == torch.arange(items)


def tied_scores(seed, queries=40, items=30):
    """Scores of few different values, so that most of them tie."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 6, (queries, items)).astype(np.float32) / 4)


def worst_rank(scores, own, rivals):
    """The oracle: sort with the rivals before the own items of equal score, and look where the first own one is."""
    order = sorted(own | rivals, key=lambda item: (-scores[item], item in own))
    return next(place for place, item in enumerate(order, 1) if item in own)


def test_a_rival_of_equal_score_counts_as_better():
    scores = torch.tensor([[1.0, 1.0, 0.5], [0.0, 0.0, 0.0], [0.2, 0.1, 0.0]])
    assert own_ranks(scores, diagonal([0, 1, 0], 3)).tolist() == [2, 3, 1]


def test_a_score_that_is_no_number_is_never_a_better_rank():
    scores = torch.tensor([[1.0, float("nan"), 0.5], [float("nan"), 0.1, 0.5]])
    assert own_ranks(scores, diagonal([0, 0], 3)).tolist() == [2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_ranks_of_several_own_items_among_ties_equal_the_oracle(seed):
    rng = np.random.default_rng(seed)
    scores = tied_scores(seed)
    kind = rng.integers(0, 4, tuple(scores.shape))  # 0: own, 1: neither, else rival
    kind[:, 0] = 0
    own, rival = torch.from_numpy(kind == 0), torch.from_numpy(kind > 1)
    expected = [
        worst_rank(row, set(np.flatnonzero(k == 0)), set(np.flatnonzero(k > 1)))
        for row, k in zip(scores.tolist(), kind, strict=True)
    ]
    assert own_ranks(scores, own, rival).tolist() == expected


def two_stage_oracle(fine, coarse, frames, own, mode, k):
    """The whole answer as a list: candidates by final score, then the rest by coarse score, ties against the own."""
    by = {
        name: sorted(range(len(fine)), key=lambda i, s=scores: (-s[i], i == own, i))
        for name, scores in (("coarse", coarse), ("frames", frames))
    }
    chosen = unite(by["coarse"], by["frames"], k) if mode == "both" else by[mode][:k]
    rest = [item for item in range(len(fine)) if item not in chosen]
    answer = sorted(chosen, key=lambda i: (-fine[i], i == own)) + sorted(rest, key=lambda i: (-coarse[i], i == own))
    return answer.index(own) + 1, own in chosen


@pytest.mark.parametrize("mode", RECALL_MODES)
@pytest.mark.parametrize("k", [1, 4, 17, 30])
def test_two_stage_ranks_among_ties_equal_the_oracle(mode, k):
    fine, coarse, frames = (tied_scores(seed) for seed in (1, 2, 3))
    owner = np.random.default_rng(4).integers(0, 30, 40).tolist()
    own = diagonal(owner, 30)
    order = united_order(mode, candidate_order(coarse, own, 30), candidate_order(frames, own, 30))
    ranks, found = two_stage_ranks(fine, coarse, order[:, :k], own)
    expected = [
        two_stage_oracle(*(scores[row].tolist() for scores in (fine, coarse, frames)), owner[row], mode, k)
        for row in range(40)
    ]
    assert list(zip(ranks.tolist(), found.tolist(), strict=True)) == expected


@pytest.mark.parametrize("mode", RECALL_MODES)
def test_two_stages_over_all_items_are_the_exhaustive_search(mode):
    fine, coarse, frames = (tied_scores(seed) for seed in (5, 6, 7))
    own = diagonal([3] * 40, 30)
    order = united_order(mode, candidate_order(coarse, own, 99), candidate_order(frames, own, 99))
    ranks, found = two_stage_ranks(fine, coarse, order, own)
    assert ranks.tolist() == own_ranks(fine, own).tolist()
    assert found.all()


def test_an_item_that_is_neither_own_nor_rival_counts_for_nothing():
    fine = torch.tensor([[0.1, 0.9, 0.5, 0.3]])
    own, rival = torch.tensor([[False, False, True, False]]), torch.tensor([[True, False, False, True]])
    everything, without_own = torch.tensor([[1, 0, 2, 3]]), torch.tensor([[1, 0]])
    assert two_stage_ranks(fine, fine, everything, own, rival)[0].tolist() == [1]
    # One rival is a candidate; of the others none has a better coarse score.
    assert two_stage_ranks(fine, fine, without_own, own, rival)[0].tolist() == [2]


def test_figures_are_those_of_numpy():
    ranks = np.random.default_rng(0).integers(1, 80, 501)
    figures = rank_figures(torch.from_numpy(ranks))
    assert figures["MdR"] == np.median(ranks)
    assert figures["MnR"] == round(ranks.mean(), 2)
    assert figures["R@50"] == round(100 * (ranks <= 50).mean(), 2) == round(recall(torch.from_numpy(ranks), 50), 2)
    assert rank_figures(torch.tensor([1, 4]))["MdR"] == 2.5


def test_dual_softmax_weighs_over_the_texts():
    scores = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    expected = scores.numpy() * np.exp(scores.numpy() / 0.1) / np.exp(scores.numpy() / 0.1).sum(0)
    np.testing.assert_allclose(dual_softmax(scores, 0.1).numpy(), expected, rtol=1e-5)
