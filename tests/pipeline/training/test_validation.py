import torch

from pipeline.training.validation import Ranks, _rank, _rank_two_stage, recall, report


def test_a_clip_of_equal_score_counts_as_better():
    assert _rank(torch.tensor([[1.0, 1.0, 0.5]]), torch.tensor([0])).tolist() == [2]


def test_a_clip_that_the_coarse_score_leaves_out_keeps_its_coarse_rank():
    coarse = torch.tensor([[0.9, 0.8, 0.1], [0.9, 0.8, 0.1]])
    final = torch.tensor([[0.0, 1.0, 5.0], [0.0, 1.0, 5.0]])
    assert _rank_two_stage(coarse, final, torch.tensor([2, 1]), recall_k=2).tolist() == [3, 1]


def test_report_has_each_group_and_way():
    ranks = Ranks(torch.tensor([1, 20]), torch.tensor([1, 2]), torch.tensor([1, 3]))
    figures = report(ranks, ["gist", "needle"])
    assert figures["gist_coarse_r1"] == 100.0
    assert figures["needle_coarse_r10"] == 0.0
    assert figures["needle_fine_r10"] == 100.0
    assert len(figures) == 18
    assert recall(ranks.coarse_T, 20) == 100.0
