import pytest
import torch

from pipeline.datasets.dataset import Caption
from pipeline.evaluation import protocol
from pipeline.evaluation.protocol import Headline, offline_figures, rank_texts, rank_videos, with_misses
from pipeline.evaluation.scores import Scores, score_all
from pipeline.evaluation.slices import Slicer
from pipeline.evaluation.stages import TwoStages
from pipeline.evaluation.worst import worst_queries
from schemas.errors import ConfigError
from schemas.recall import RECALL_MODES
from tests.pipeline.evaluation import small_set

OWNERS = [0, 0, 0, 1, 1, 1, 2, 2, 4, 4, 5, 6, 7]
CLIP_T = torch.tensor(OWNERS)
DEPTHS = (1, 5, 50)


@pytest.fixture
def scores(tmp_path, monkeypatch):
    monkeypatch.setattr(protocol, "_QUERIES_AT_ONCE", 4)
    return score_all(small_set.model(), small_set.texts(len(OWNERS)), small_set.gallery(tmp_path))


def test_each_caption_is_ranked_by_counting_what_is_not_worse(scores):
    table = rank_texts(scores, CLIP_T, DEPTHS)
    for text, owner in enumerate(OWNERS):
        row = scores.fine_TB[text].tolist()
        assert table.exhaustive_Q[text] == sum(score >= row[owner] for score in row)


def test_a_video_is_ranked_by_its_best_caption_over_the_captions_of_others(scores):
    everything = torch.ones(len(OWNERS), dtype=torch.bool)
    table = rank_videos(scores, CLIP_T, everything, DEPTHS)
    asked = sorted(set(OWNERS))  # clip 3 has no caption, and is no query
    for query, clip in enumerate(asked):
        column = scores.coarse_TB[:, clip].tolist()
        best = max(score for score, owner in zip(column, OWNERS, strict=True) if owner == clip)
        better = sum(score >= best for score, owner in zip(column, OWNERS, strict=True) if owner != clip)
        assert table.coarse_Q[query] == 1 + better
    assert len(table.coarse_Q) == len(asked)


def test_in_a_group_only_its_captions_are_right_and_the_others_of_the_video_do_not_matter(scores):
    right = torch.tensor([number in (0, 3) for number in range(len(OWNERS))])
    table = rank_videos(scores, CLIP_T, right, DEPTHS)
    column = scores.fine_TB[:, 1]
    better = int((column[CLIP_T != 1] >= column[3]).sum())
    assert table.exhaustive_Q.tolist()[1] == 1 + better


@pytest.mark.parametrize("mode", RECALL_MODES)
def test_two_stages_over_all_clips_are_the_exhaustive_search_in_both_directions(scores, mode):
    everything = torch.ones(len(OWNERS), dtype=torch.bool)
    for table in (rank_texts(scores, CLIP_T, DEPTHS), rank_videos(scores, CLIP_T, everything, DEPTHS)):
        ranks, found = table.two_stage[mode, 50]
        assert ranks.tolist() == table.exhaustive_Q.tolist()
        assert found.all()
    assert rank_texts(scores, CLIP_T, DEPTHS).two_stage["coarse", 1][0].tolist() == table_coarse(scores)


def table_coarse(scores):
    # With one candidate, stage 2 has nothing to change.
    return rank_texts(scores, CLIP_T, (1,)).coarse_Q.tolist()


def test_equal_scores_give_the_last_rank_everywhere():
    flat = torch.zeros(len(OWNERS), 9)
    table = rank_texts(Scores(flat, flat, flat), CLIP_T, (3,))
    assert set(table.coarse_Q.tolist()) == set(table.exhaustive_Q.tolist()) == {9}
    assert {tuple(ranks.tolist()) for ranks, _ in table.two_stage.values()} == {(9,) * len(OWNERS)}


def test_slices_hold_their_own_queries_and_unknown_tags_are_passed_over(scores):
    slicer = Slicer(
        small_set.captions(OWNERS), CLIP_T, scores, rank_texts(scores, CLIP_T, DEPTHS), Headline("both", 5), DEPTHS
    )
    overall, groups, tags = slicer.overall(), slicer.groups(), slicer.tags(("event_frames", "nothing"))
    assert overall.queries == len(OWNERS) == sum(one.queries for one in groups.values())
    assert list(groups) == ["gist", "needle"]
    assert list(tags) == ["event_frames"]
    assert list(tags["event_frames"]) == ["1", "4"]
    assert sum(one.queries for one in tags["event_frames"].values()) == groups["needle"].queries
    assert overall.t2v["two_stage"] == {k: v for k, v in overall.sweep["both"][5].items() if k != "recalled"}


def test_a_tag_with_too_many_values_is_refused(scores):
    captions = [Caption("clip0", "text", tags={"id": number}) for number in range(51)]
    with pytest.raises(ConfigError, match="51 values"):
        Slicer(captions, CLIP_T, scores, rank_texts(scores, CLIP_T, DEPTHS), Headline("both", 5), DEPTHS).tags(("id",))


def test_absent_captions_count_as_misses():
    figures = with_misses({"coarse": torch.tensor([1, 7])}, absent=2)["coarse"]
    assert figures == {"R@1": 25.0, "R@5": 25.0, "R@10": 50.0, "R@50": 50.0}


def test_dual_softmax_is_told_apart_and_has_no_two_stages(scores):
    offline = offline_figures(scores, CLIP_T)
    assert {direction: list(ways) for direction, ways in offline.items()} == {
        "t2v": ["coarse", "exhaustive"],
        "v2t": ["coarse", "exhaustive"],
    }


def test_the_worst_queries_come_worst_first_with_the_clip_that_was_found_instead(tmp_path, scores):
    stages = TwoStages.of(small_set.gallery(tmp_path), small_set.model())
    table, headline = rank_texts(scores, CLIP_T, DEPTHS), Headline("both", 5)
    worst = worst_queries(
        small_set.captions(OWNERS), small_set.texts(len(OWNERS)), CLIP_T, table, stages, headline, count=4
    )
    ranks = [query.ranks["two_stage"] for query in worst]
    assert ranks == sorted(table.two_stage["both", 5][0].tolist(), reverse=True)[:4]
    for query in worst:
        text = int(query.text.removeprefix("text "))
        assert query.own.key == f"clip{OWNERS[text]}" != query.found.key
        candidates = stages.recall("both", small_set.texts(len(OWNERS))[text], 5)
        best = max(row for row in scores.fine_TB[text][candidates[candidates != OWNERS[text]]].tolist())
        assert query.found.score == pytest.approx(best, abs=1e-4)
        assert query.found.time_s in (0.5, 1.5, 2.5, 3.5)
