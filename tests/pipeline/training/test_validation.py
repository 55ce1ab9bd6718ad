import torch

from pipeline.metrics import recall
from pipeline.training.validation import Ranks, report


def test_report_has_each_group_and_way():
    ranks = Ranks(torch.tensor([1, 20]), torch.tensor([1, 2]), torch.tensor([1, 3]))
    figures = report(ranks, ["gist", "needle"])
    assert figures["gist_coarse_r1"] == 100.0
    assert figures["needle_coarse_r10"] == 0.0
    assert figures["needle_fine_r10"] == 100.0
    assert len(figures) == 18
    assert recall(ranks.coarse_T, 20) == 100.0
