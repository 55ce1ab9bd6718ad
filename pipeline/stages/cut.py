"""Cut: a video whose clips are more than a worker is to hold becomes parts of consecutive clips. Pure.

What part i of K holds follows from the file, the clip rule and K alone. So its objects carry i and K in their names,
and whoever writes them again writes the same.
"""

import json
from dataclasses import dataclass
from typing import Self

from pipeline.decode.records import ClipRange

# A part is also what is done again after a kill.
_MOST_CLIPS = 1000


def clips_a_part(part_bytes: int, clip_bytes: int) -> int:
    """How many clips a worker may hold.

    Args:
        part_bytes: what it may hold.
        clip_bytes: pictures and tokens of one clip.

    >>> clips_a_part(1 << 30, 2_400_000), clips_a_part(10, 2_400_000), clips_a_part(1 << 40, 1)
    (447, 1, 1000)
    """
    return min(_MOST_CLIPS, max(1, part_bytes // clip_bytes))


@dataclass(frozen=True)
class Cut:
    """How a video is cut.

    Attributes:
        clips: how many the clip rule gives, those that show no frame included.
        parts: K.
        edges: where the clips begin, and the last one ends, in seconds; None where the rule tells it at once.
    """

    clips: int
    parts: int
    edges: tuple[float, ...] | None = None

    @classmethod
    def of(cls, clips: int, most: int, edges: tuple[float, ...] | None) -> Self:
        """The cut into the fewest parts of at most `most` clips."""
        return cls(clips, -(-clips // most), edges)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote.

        Raises:
            ValueError: it is no cut.
        """
        try:
            found = json.loads(text)
            edges = None if found["edges"] is None else tuple(map(float, found["edges"]))
            cut = cls(int(found["clips"]), int(found["parts"]), edges)
        except (KeyError, TypeError) as error:
            raise ValueError(f"no cut of a video: {error}") from error
        if not 1 <= cut.parts <= cut.clips or (edges is not None and len(edges) != cut.clips + 1):
            raise ValueError(f"a cut of {cut.clips} clips into {cut.parts} parts")
        return cut

    def to_json(self) -> str:
        """As text, in one line."""
        return json.dumps({"clips": self.clips, "parts": self.parts, "edges": self.edges})

    def within(self, most: int) -> Self:
        """The same, or a finer one if its parts hold more than `most` clips.

        >>> Cut(10, 2).within(5), Cut(10, 2).within(4)
        (Cut(clips=10, parts=2, edges=None), Cut(clips=10, parts=3, edges=None))
        """
        return self if -(-self.clips // self.parts) <= most else type(self).of(self.clips, most, self.edges)

    def part(self, number: int) -> "Part":
        """One part, counted from 1; all together they hold each clip once.

        >>> [(part.clips.first, part.clips.last) for part in map(Cut(10, 3).part, (1, 2, 3))]
        [(0, 3), (3, 6), (6, 10)]
        """
        first, last = ((number - 1 + more) * self.clips // self.parts for more in (0, 1))
        edges = None if self.edges is None else self.edges[first : last + 1]
        return Part(number, self.parts, ClipRange(first=first, last=last, edges=edges))


@dataclass(frozen=True)
class Part:
    """Part `number` of `of`, counted from 1, and its clips."""

    number: int
    of: int
    clips: ClipRange

    @classmethod
    def from_json(cls, text: str) -> "Part | None":
        """What `to_json` wrote; None for the empty text, which stands for a whole task."""
        if not text:
            return None
        found = json.loads(text)
        edges = None if found["edges"] is None else tuple(found["edges"])
        clips = ClipRange(first=found["first"], last=found["last"], edges=edges)
        return cls(found["number"], found["of"], clips)

    def to_json(self) -> str:
        """As text, in one line."""
        return json.dumps({"number": self.number, "of": self.of, **vars(self.clips)})

    @property
    def suffix(self) -> str:
        """What the names of its objects end with, behind the task's id.

        >>> Part(2, 7, ClipRange(first=0, last=1)).suffix
        '2-of-7'
        """
        return f"{self.number}-of-{self.of}"
