"""Which video stands where in which batch: a function of seed, step and place alone.

So a run that goes on after a death sees the batches that it would have seen, and so does one with another number of
workers.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=4)
def _shuffled(videos: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(videos)


@dataclass(frozen=True)
class ClipOrder:
    """Videos in a new order each epoch; an epoch is as many whole batches as there are videos for.

    Attributes:
        videos: of the training split.
        batch: clips of the global batch, no more than there are videos.
        seed: of the order.
    """

    videos: int
    batch: int
    seed: int

    def candidates(self, step: int, slot: int) -> list[int]:
        """The video for a place in a batch, then those that stand in for it where it cannot be used.

        No video is a candidate of two places of one batch, so a batch never shows one twice, whatever is unusable.

        Args:
            step: from 0.
            slot: place in the global batch.

        >>> order = ClipOrder(videos=7, batch=3, seed=0)
        >>> [len(order.candidates(0, slot)) for slot in range(3)]
        [3, 2, 2]
        >>> sorted(sum((order.candidates(1, slot) for slot in range(3)), []))
        [0, 1, 2, 3, 4, 5, 6]
        """
        epoch, place = divmod(step, self.videos // self.batch)
        shuffled = _shuffled(self.videos, self.seed, epoch)
        column = shuffled[slot :: self.batch]
        return [int(video) for video in np.roll(column, -place)]

    def draw(self, step: int, slot: int, count: int) -> int:
        """Which of `count` captions goes with the clip of a place."""
        return int(np.random.default_rng([self.seed, step, slot]).integers(count))
