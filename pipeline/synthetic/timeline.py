"""Which scene is on at which time: a main scene, cut by short events."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.synthetic.vocabulary import pick

NUM_SLOTS = 12
MAIN = 0
# The cuts move off the slots' borders by less than half a slot, so the frame in a slot's middle keeps its scene.
_JITTER_SLOTS = 0.3
_MIN_FRAMES_PER_SLOT = 4


@dataclass(frozen=True, slots=True)
class Shot:
    """A run of frames of one scene.

    Attributes:
        scene: 0 for the main scene, 1 for the first event, and so on.
        start: first frame.
        end: the frame after the last.
    """

    scene: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """The shots of a video, in order and without gaps.

    Attributes:
        shots: neighbours show different scenes.
        fps: frames a second.
    """

    shots: tuple[Shot, ...]
    fps: int

    @property
    def num_frames(self) -> int:
        """Frames of the whole video."""
        return self.shots[-1].end

    @property
    def duration_s(self) -> float:
        """Length of the whole video."""
        return self.num_frames / self.fps

    def scene_at(self, frame: int) -> int:
        """The scene that a frame shows."""
        for shot in self.shots:
            if shot.start <= frame < shot.end:
                return shot.scene
        raise IndexError(f"{frame=} of {self.num_frames}")

    def span_s(self, scene: int) -> tuple[float, float]:
        """From the start of a scene's first shot to the end of its last."""
        shots = [shot for shot in self.shots if shot.scene == scene]
        return shots[0].start / self.fps, shots[-1].end / self.fps

    def slots(self, scene: int) -> int:
        """How many of `NUM_SLOTS` uniformly sampled frames show a scene."""
        return sum(self.scene_at(frame) == scene for frame in sampled_frames(self.num_frames))


def sampled_frames(num_frames: int, samples: int = NUM_SLOTS) -> list[int]:
    """The middle frame of each of `samples` equal segments.

    >>> sampled_frames(24, 12)
    [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23]
    """
    return [(2 * i + 1) * num_frames // (2 * samples) for i in range(samples)]


def sample_timeline(
    rng: np.random.Generator, num_frames: int, fps: int, num_events: int, event_frames: Sequence[int]
) -> Timeline:
    """Draw a timeline in which each event fills exactly so many of twelve uniformly sampled frames.

    Args:
        rng: chooses the lengths, the order and the cuts.
        num_frames: of the whole video.
        fps: frames a second.
        num_events: short events; between two of them the main scene is seen.
        event_frames: lengths to draw from, in sampled frames of `NUM_SLOTS`; lengths that do not fit together are
            drawn again, so the longest come a little less often than the others.

    Raises:
        ValueError: a length leaves too little of the main scene even beside the shortest, or the video is too short
            to cut.
    """
    if not lengths_fit(num_events, event_frames):
        raise ValueError(f"{num_events=} of {event_frames=} leave too little of {NUM_SLOTS} for the main scene")
    if num_frames < NUM_SLOTS * _MIN_FRAMES_PER_SLOT:
        raise ValueError(f"{num_frames=}: at least {NUM_SLOTS * _MIN_FRAMES_PER_SLOT} to place events exactly")
    slots = _fill_slots(rng, _draw_lengths(rng, num_events, event_frames))
    starts = [0] + [i for i in range(1, NUM_SLOTS) if slots[i] != slots[i - 1]]
    jitter = rng.uniform(-_JITTER_SLOTS, _JITTER_SLOTS, len(starts))
    cuts = [0] + [
        round((start + shift) * num_frames / NUM_SLOTS) for start, shift in zip(starts[1:], jitter[1:], strict=True)
    ]
    ends = [*cuts[1:], num_frames]
    shots = tuple(Shot(slots[slot], cut, end) for slot, cut, end in zip(starts, cuts, ends, strict=True))
    return Timeline(shots, fps)


def room_for_events(num_events: int) -> int:
    """Sampled frames that events may fill in all: the main scene keeps two, and one between any two events.

    >>> room_for_events(1), room_for_events(2), room_for_events(4)
    (10, 10, 8)
    """
    return NUM_SLOTS - max(2, num_events)


def lengths_fit(num_events: int, event_frames: Sequence[int]) -> bool:
    """Whether an event of each length has room beside others of the shortest.

    >>> lengths_fit(2, (1, 2, 3, 4, 6)), lengths_fit(2, (6,)), lengths_fit(1, (6,))
    (True, False, True)
    """
    if not num_events:
        return True
    return max(event_frames) + (num_events - 1) * min(event_frames) <= room_for_events(num_events)


def _draw_lengths(rng: np.random.Generator, num_events: int, event_frames: Sequence[int]) -> list[int]:
    while True:
        lengths = [pick(rng, event_frames) for _ in range(num_events)]
        if sum(lengths) <= room_for_events(num_events):
            return lengths


def _fill_slots(rng: np.random.Generator, lengths: list[int]) -> list[int]:
    """The scene of each slot; events come in order, with at least one slot of the main scene between two."""
    spare = NUM_SLOTS - sum(lengths) - max(0, len(lengths) - 1)
    # Bars among stars: every way to spread the spare slots before, between and behind the events is as likely.
    bars = np.sort(rng.choice(spare + len(lengths), size=len(lengths), replace=False))
    # Of two neighbouring bars the distance is the spare slots between them plus the one that must be there.
    before = np.diff(bars, prepend=0).tolist()
    slots: list[int] = []
    for event, (gap, length) in enumerate(zip(before, lengths, strict=True), 1):
        slots += [MAIN] * gap + [event] * length
    return slots + [MAIN] * (NUM_SLOTS - len(slots))
