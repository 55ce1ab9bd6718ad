"""Figures of all queries, of each group of the data, and of each value of a tag."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.datasets.dataset import Caption
from pipeline.evaluation.protocol import Headline, RankTable, rank_videos
from pipeline.evaluation.scores import Scores
from schemas.errors import ConfigError
from schemas.evaluation import Slice

_MAX_VALUES = 50


@dataclass(frozen=True)
class Slicer:
    """What all slices are cut from.

    Attributes:
        captions: T texts.
        clip_T: the clip of each.
        scores: T x B.
        texts: text-to-video ranks.
        headline: which two-stage search is shown beside the sweep.
        depths: numbers of candidates.
    """

    captions: Sequence[Caption]
    clip_T: Tensor
    scores: Scores
    texts: RankTable
    headline: Headline
    depths: Sequence[int]

    def overall(self) -> Slice:
        """All captions."""
        return self._group(torch.ones(len(self.captions), dtype=torch.bool))

    def groups(self) -> dict[str, Slice]:
        """Each named group, in both directions."""
        names = sorted({caption.group for caption in self.captions} - {""})
        return {name: self._group(self._where([caption.group == name for caption in self.captions])) for name in names}

    def tags(self, by: Sequence[str]) -> dict[str, dict[str, Slice]]:
        """Each value of each tag, text to video; a tag that no caption has is passed over.

        Raises:
            ConfigError: a tag has too many values to be shown.
        """
        found: dict[str, dict[str, Slice]] = {}
        for tag in by:
            values = {caption.tags[tag] for caption in self.captions if tag in caption.tags}
            if len(values) > _MAX_VALUES:
                raise ConfigError(
                    f"by = {tag!r}: its captions have {len(values)} values, at most {_MAX_VALUES} are shown"
                )
            if values:
                found[tag] = {str(value): self._tag(tag, value) for value in sorted(values, key=_in_order)}
        return found

    def _group(self, chosen_T: Tensor) -> Slice:
        videos = rank_videos(self.scores, self.clip_T, chosen_T, self.depths)
        return self.headline.slice(self.texts.take(chosen_T), videos)

    def _tag(self, tag: str, value: str | int | float) -> Slice:
        chosen_T = self._where([tag in caption.tags and caption.tags[tag] == value for caption in self.captions])
        return self.headline.slice(self.texts.take(chosen_T))

    @staticmethod
    def _where(chosen: list[bool]) -> Tensor:
        return torch.tensor(chosen)


def _in_order(value: str | int | float) -> tuple[bool, float, str]:
    """Numbers by size before words."""
    return (True, 0.0, value) if isinstance(value, str) else (False, float(value), "")
