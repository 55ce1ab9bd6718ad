"""Which clips stage 2 gets to see: by their coarse vector, by their best frame, or by both. Pure.

A coarse vector is the mean of a clip and forgets a moment of two seconds; the vector of a single frame does not.
`frames` ranks a clip by its best raw frame, max_f t . n(f_f) over its real frames.
"""

from collections.abc import Sequence
from itertools import islice, zip_longest

from schemas.recall import RECALL_MODES, RecallMode

__all__ = ["RECALL_MODES", "RecallMode", "unite"]


def unite(coarse: Sequence[str], frames: Sequence[str], limit: int) -> list[str]:
    """Two rankings as one list of candidates: taken in turn, coarse first, each clip once.

    The limit holds for the whole, so that two rankings cost stage 2 no more than one.

    Args:
        coarse: clip_ids by coarse score, best first.
        frames: clip_ids by their best frame, best first.
        limit: how many candidates at most, 0 or more.

    Returns:
        At most `limit` clip_ids; all of both rankings when they hold fewer.

    >>> unite(["a", "b", "c"], ["x", "b", "y"], 4)
    ['a', 'x', 'b', 'c']
    >>> unite(["a", "b"], [], 4)
    ['a', 'b']
    """
    in_turn = (clip_id for pair in zip_longest(coarse, frames) for clip_id in pair if clip_id is not None)
    return list(islice(dict.fromkeys(in_turn), limit))


def share(count: int, of_all: int, of_one: int) -> int:
    """How many of its candidates a query gets scored, where only `count` of all queries' can be.

    >>> share(30, 60, 20), share(60, 60, 20), share(0, 0, 0)
    (10, 20, 0)
    """
    return of_one if count >= of_all else count * of_one // of_all
