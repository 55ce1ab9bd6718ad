import pytest
import torch

from models.scoring import fine_scores, fuse, video_score
from pipeline.evaluation import scores as scores_module
from pipeline.evaluation.scores import score_all, widened
from pipeline.evaluation.stages import TwoStages
from pipeline.evaluation.timing import time_queries
from schemas.recall import RECALL_MODES
from tests.pipeline.evaluation import small_set


@pytest.fixture
def gallery(tmp_path):
    return small_set.gallery(tmp_path)


def test_blocks_give_what_one_pass_gives(gallery, monkeypatch):
    model, text_TD = small_set.model(), small_set.texts(9)
    tokens = widened(gallery.tokens(slice(None)), model.device)
    coarse = video_score(text_TD, model.coarse_mix_DD, gallery.coarse_BD)
    fine = fuse(coarse, fine_scores(text_TD, tokens, model.frame_mix_FF, model.config.fusion), model.config.fusion)
    by_frame = torch.einsum("td,bfd->tbf", text_TD, tokens.frames_BFD)
    frames = by_frame.masked_fill(tokens.mask_BF == 0, -9).amax(-1)
    monkeypatch.setattr(scores_module, "_TOKENS_AT_ONCE", 1000)  # three clips
    monkeypatch.setattr(scores_module, "_PAIRS_AT_ONCE", 100)  # two texts

    found = score_all(model, text_TD, gallery)

    for name, expected in (("coarse_TB", coarse), ("frames_TB", frames), ("fine_TB", fine)):
        torch.testing.assert_close(getattr(found, name), expected, atol=2e-6, rtol=0)


def test_searching_one_query_gives_the_scores_and_candidates_of_the_whole_table(gallery):
    model, text_TD = small_set.model(), small_set.texts(5)
    table, stages = score_all(model, text_TD, gallery), TwoStages.of(gallery, model)
    for row, text_D in enumerate(text_TD):
        torch.testing.assert_close(stages.exhaustive(text_D), table.fine_TB[row], atol=2e-6, rtol=0)
        by_coarse = stages.recall("coarse", text_D, 6)
        assert by_coarse.tolist() == table.coarse_TB[row].topk(6).indices.tolist()
        assert stages.recall("frames", text_D, 6).tolist() == table.frames_TB[row].topk(6).indices.tolist()
        both = stages.recall("both", text_D, 6)
        assert len(set(both.tolist())) == 6
        assert both[0] == by_coarse[0]
        torch.testing.assert_close(stages.rerank(text_D, both)[0], table.fine_TB[row][both], atol=2e-6, rtol=0)


def test_every_part_of_every_way_is_timed(gallery):
    timing = time_queries(TwoStages.of(gallery, small_set.model()), small_set.texts(2), k=4)
    assert (
        set(timing.wall_s)
        == set(timing.cpu_s)
        == {f"recall_{mode}" for mode in RECALL_MODES}
        | {
            "rerank",
            "exhaustive",
        }
    )
    assert timing.queries == 2
    assert all(seconds > 0 for seconds in timing.wall_s.values())
    assert timing.two_stage_s("both") == timing.wall_s["recall_both"] + timing.wall_s["rerank"]
