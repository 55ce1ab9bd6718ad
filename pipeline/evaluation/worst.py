"""The queries that went worst: what ranks where, and which frame of which clip the model took for right."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.datasets.dataset import Caption
from pipeline.evaluation.protocol import Headline, RankTable
from pipeline.evaluation.stages import TwoStages
from schemas.evaluation import Moment, WorstQuery


def worst_queries(
    captions: Sequence[Caption],
    text_TD: Tensor,
    clip_T: Tensor,
    table: RankTable,
    stages: TwoStages,
    headline: Headline,
    count: int,
    by: Sequence[str] = (),
) -> list[WorstQuery]:
    """The captions whose own clip has the highest two-stage ranks, the worst first.

    Args:
        captions: T texts.
        text_TD: their vectors.
        clip_T: the clip of each.
        table: their ranks.
        stages: searches again for them, for the frames that matched.
        headline: the two-stage search that is looked at.
        count: how many at most; a query that ranks first in two stages is never among them.
        by: tags that are shown.
    """
    ranks, found_T = table.ranks(headline.mode, headline.k), table.two_stage[headline.mode, headline.k][1]
    by_badness = sorted(
        (text for text in range(len(captions)) if int(ranks["two_stage"][text]) > 1),
        key=lambda text: (-int(ranks["two_stage"][text]), -int(ranks["exhaustive"][text]), text),
    )
    worst = []
    for text in by_badness[:count]:
        caption = captions[text]
        worst.append(
            WorstQuery(
                text=caption.text,
                group=caption.group,
                tags={tag: caption.tags[tag] for tag in by if tag in caption.tags},
                ranks={way: int(ranks_T[text]) for way, ranks_T in ranks.items()},
                recalled=bool(found_T[text]),
                own=_best_moment(stages, text_TD[text], clip_T[text, None]),
                found=_best_moment(stages, text_TD[text], _others(stages, text_TD[text], int(clip_T[text]), headline)),
            )
        )
    return worst


def _others(stages: TwoStages, text_D: Tensor, own: int, headline: Headline) -> Tensor:
    mode, k = headline.mode, headline.k
    others_k = (candidates_k := stages.recall(mode, text_D, k))[candidates_k != own]
    if len(others_k):
        return others_k
    # With k = 1 and a tie, the one candidate may be the own clip although its rank is 2.
    return (wider_k := stages.recall(mode, text_D, k + 1))[wider_k != own]


def _best_moment(stages: TwoStages, text_D: Tensor, rows_k: Tensor) -> Moment:
    """Of these clips the one with the best final score, at the frame that it matched best."""
    score_k, frame_k = stages.rerank(text_D, rows_k)
    best = int(torch.argmax(score_k))
    clip = stages.gallery.clips[int(rows_k[best])]
    # Padding, which the reference profile lets match, repeats the last frame's time.
    frame = min(int(frame_k[best]), len(clip.frame_times_s) - 1)
    return Moment(
        key=clip.key,
        uri=clip.uri,
        time_s=round(clip.frame_times_s[frame], 3),
        score=round(float(score_k[best]), 4),
    )
