"""Grouping of frames by clip, which Milvus offers from release 2.4 on: here it works on every release alike."""

from collections.abc import Callable, Iterable
from math import ceil
from typing import Final

from pipeline.index.hits import FrameHit
from pipeline.ranking import SCORE_DECIMALS

# What Milvus answers at most to one query.
MAX_WINDOW: Final = 16_384
# Four frames a clip mostly do at once; else the clips found so far say how many frames will, with some to spare.
_FIRST, _SPARE = 4, 1.5


def first_window(limit: int) -> int:
    """How many frames `group_by_clip` asks for first.

    >>> first_window(50)
    200
    """
    return min(_FIRST * limit, MAX_WINDOW)


def group_by_clip(search: Callable[[int], list[FrameHit]], limit: int) -> list[FrameHit]:
    """The `limit` clips with the best frames, each with its best one, best first.

    One clip may hold many of the best frames. So more frames are asked for than clips are wanted, and more again
    while too few clips are among them.

    Args:
        search: gives the best frames of a collection, at most as many as asked.
        limit: how many clips, 1 or more. Fewer come when the collection holds fewer, or when the best 16,384
            frames belong to fewer: with 12 frames a clip, to at least 1,365.
    """
    window = first_window(limit)
    while True:
        hits = search(window)
        best = best_by_clip(hits)
        if len(best) >= limit or len(hits) < window or window == MAX_WINDOW:
            return best[:limit]
        window = min(ceil(_SPARE * window * limit / len(best)), MAX_WINDOW)


def best_by_clip(hits: Iterable[FrameHit]) -> list[FrameHit]:
    """The best frame of each clip, best first; ties by clip_id.

    >>> best_by_clip([FrameHit("a", 0.5), FrameHit("b", 0.9), FrameHit("a", 0.7)])
    [FrameHit(clip_id='b', frame_score=0.9), FrameHit(clip_id='a', frame_score=0.7)]
    """
    best: dict[str, FrameHit] = {}
    for hit in hits:
        if hit.clip_id not in best or hit.frame_score > best[hit.clip_id].frame_score:
            best[hit.clip_id] = hit
    return sorted(best.values(), key=lambda hit: (-round(hit.frame_score, SCORE_DECIMALS), hit.clip_id))
