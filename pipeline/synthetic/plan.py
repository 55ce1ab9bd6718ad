"""What a set of videos will show, decided before anything is drawn: a function of the seed alone."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.captions import caption
from pipeline.synthetic.hard_negatives import hard_negative
from pipeline.synthetic.render import render_frame
from pipeline.synthetic.scene import Scene, SceneKey, sample_scene
from pipeline.synthetic.timeline import MAIN, Timeline, sample_timeline
from schemas.data_config import DataConfig

GIST, NEEDLE = "gist", "needle"
_REDRAWS = 200
# "a cross" against "three crosses" changes four words; a sentence of another form changes more.
_MAX_CHANGED_WORDS, _TRIES = 6, 32
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """One video.

    Attributes:
        name: its path below the folder of the set.
        split: train, val or test.
        scenes: the main scene, then one for each event; no other video of the set has any of them.
        captions: one for each scene.
        hard_negatives: each of these again, wrong in a single attribute.
        timeline: which scene is on when.
    """

    name: str
    split: str
    scenes: tuple[Scene, ...]
    captions: tuple[str, ...]
    hard_negatives: tuple[str, ...]
    timeline: Timeline

    def frames(self, size_px: int) -> Iterator[NDArray[np.uint8]]:
        """All frames, uint8, (size_px, size_px, 3) each."""
        for shot in self.timeline.shots:
            for frame in range(shot.start, shot.end):
                yield render_frame(self.scenes[shot.scene], frame / self.timeline.fps, size_px)

    def queries(self) -> list[dict[str, Any]]:
        """The lines of captions.jsonl: one for each scene; `uri` is relative to the folder of that file.

        The span of the main scene is the whole video, since the events only interrupt it. `event_frames` of a needle
        and `main_frames` of a gist tell how many of twelve uniformly sampled frames show the scene.
        """
        lines = []
        said = zip(self.scenes, self.captions, self.hard_negatives, strict=True)
        for index, (scene, text, wrong) in enumerate(said):
            start_s, end_s = (0.0, self.timeline.duration_s) if index == MAIN else self.timeline.span_s(index)
            shown = "main_frames" if index == MAIN else "event_frames"
            lines.append(
                {
                    "video": self.name,
                    "uri": self.name,
                    "caption": text,
                    "hard_negative": wrong,
                    "group": GIST if index == MAIN else NEEDLE,
                    "start_s": round(start_s, 3),
                    "end_s": round(end_s, 3),
                    "split": self.split,
                    shown: self.timeline.slots(index),
                    "attributes": scene.attributes(),
                }
            )
        return lines


def plan_videos(config: DataConfig) -> Iterator[VideoPlan]:
    """Plan all videos, in order; the first N of a larger set with the same settings are the set of N."""
    taken: set[SceneKey] = set()
    for index in range(config.videos):
        # A generator for each video: how many draws one took changes nothing in the next.
        rng = np.random.default_rng([config.seed, index])
        scenes = tuple(_new_scene(rng, taken) for _ in range(1 + config.events))
        seconds = rng.uniform(config.min_seconds, config.max_seconds)
        # Draws of their own: what a video shows and how it is told is the same as before there were any.
        wrong_rng = np.random.default_rng([config.seed, index, 1])
        pairs = [_told(scene, rng, wrong_rng) for scene in scenes]
        yield VideoPlan(
            name=f"videos/{index + 1:06d}.mp4",
            split=split_of(index, config.val_fraction, config.test_fraction),
            scenes=scenes,
            captions=tuple(true for true, _ in pairs),
            hard_negatives=tuple(wrong for _, wrong in pairs),
            timeline=sample_timeline(
                rng, round(seconds * config.fps), config.fps, num_events=config.events, event_frames=config.event_frames
            ),
        )


def _told(scene: Scene, rng: np.random.Generator, wrong_rng: np.random.Generator) -> tuple[str, str]:
    """The caption of a scene, and a hard negative in the same words but for the change."""
    before = copy.deepcopy(rng)
    true = wrong = caption(scene, rng)
    for _ in range(_TRIES):
        other, _ = hard_negative(scene, wrong_rng)
        # The same state chooses the same form, as long as both scenes leave as many words to choose from.
        wrong = caption(other, copy.deepcopy(before))
        if 0 < len(set(true.split()) ^ set(wrong.split())) <= _MAX_CHANGED_WORDS:
            break
    return true, wrong


def _new_scene(rng: np.random.Generator, taken: set[SceneKey]) -> Scene:
    """A scene that no video has yet; a repeated one only where the words run out."""
    for _ in range(_REDRAWS):
        scene = sample_scene(rng)
        if scene.key() not in taken:
            break
    taken.add(scene.key())
    return scene


def split_of(index: int, val_fraction: float, test_fraction: float) -> str:
    """The split of the video at an index, whatever the seed and the size of the set.

    Multiples of the golden ratio fill the unit interval evenly, so even a small set comes close to its fractions.

    >>> [split_of(i, 0.2, 0.2) for i in range(5)]
    ['train', 'val', 'train', 'train', 'test']
    """
    place = (index + 1) * _GOLDEN % 1.0
    if place < test_fraction:
        return "test"
    return "val" if place < test_fraction + val_fraction else "train"
