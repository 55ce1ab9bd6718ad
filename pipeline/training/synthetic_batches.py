"""Training batches out of generated scenes: a function of seed, step and worker, never the same scene twice."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.vocabulary import TokenizeTexts
from pipeline.synthetic.render import render_frame
from pipeline.synthetic.scene import Scene, sample_scene
from pipeline.synthetic.timeline import NUM_SLOTS, sample_timeline, sampled_frames
from pipeline.training.batch import TrainBatch
from pipeline.training.captioned import ChangeShares, caption_pair, same_words, twin_of
from pipeline.training.degrade import jitter, through_codec

_FPS, _VIDEO_FRAMES, _SECONDS = 12, 84, 7.0
_VIDEO_PX = 128
_EVENT_FRAMES = (2, 3)


@dataclass(frozen=True)
class SyntheticBatches:
    """Batch number `step` of worker `rank`, on demand.

    Attributes:
        seed: of the data.
        clips: a batch of this worker's.
        size_px: side of the pictures.
        composed: clips of 12 frames share the pictures of the batch; see `schemas.training.TrainConfig`.
        omit: see `pipeline.synthetic.captions.caption`.
        hard_negatives: share of the captions that have one, of those without a twin.
        twins: see `schemas.training.TrainConfig`.
        redraw: see `schemas.training.TrainConfig`.
        shares: of what a twin or a hard negative changes.
        codec_share: see `schemas.training.TrainConfig`.
        tokenizer: of the model.
        rank: of the worker.
    """

    seed: int
    clips: int
    size_px: int
    composed: bool
    omit: float
    hard_negatives: float
    twins: float
    redraw: float
    shares: ChangeShares
    codec_share: float
    tokenizer: TokenizeTexts
    rank: int = 0

    def __call__(self, step: int) -> TrainBatch:
        """The batch of a step."""
        rng = np.random.default_rng([self.seed, step, self.rank])
        draw = self._composed if self.composed else self._filmed
        pictures, index_BF, pairs = draw(rng)
        owned = np.arange(self.clips) if self.composed else np.full(self.clips, -1)
        # The false caption of a twin is true of another clip of the batch.
        alone = rng.permutation(np.arange(self._twins(), self.clips - self._twins()))
        chosen = alone[: round(len(alone) * self.hard_negatives)]
        tokens = self.tokenizer([true for true, _ in pairs] + [pairs[i][1] for i in chosen])
        return TrainBatch(
            pictures_NHWC=torch.from_numpy(jitter(pictures, rng)),
            index_BF=torch.from_numpy(index_BF),
            mask_BF=torch.ones(index_BF.shape),
            captions_BL=tokens[: self.clips],
            negatives_HL=tokens[self.clips :],
            owned_B=torch.from_numpy(owned),
        )

    def _composed(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[tuple[str, str]]]:
        """One picture a scene; clip i tells of scene i, and shows two others of the batch as well."""
        scenes, pairs = self._cast(rng)
        pictures = np.stack([self._picture(scene, float(rng.uniform(0, _SECONDS)), rng) for scene in scenes])
        index_BF = np.stack([_timeline_of(clip, self.clips, rng) for clip in range(self.clips)])
        return pictures, index_BF, pairs

    def _cast(self, rng: np.random.Generator) -> tuple[list[Scene], list[tuple[str, str]]]:
        """The scenes, the last of which are the twins of the first, each with its caption and a false one.

        A twin is wrong in one attribute, and is filmed too: then the caption must tell two pictures apart, and the
        picture two captions, where a hard negative asks for the second only.
        """
        twins = self._twins()
        scenes = [self._scene(rng) for _ in range(self.clips - twins)]
        others = [twin_of(scene, rng, self.shares) for scene in scenes[:twins]]
        told = [same_words(scene, other, rng, self.omit) for scene, other in zip(scenes, others, strict=False)]
        single = [caption_pair(scene, rng, self.omit, self.shares) for scene in scenes[twins:]]
        return scenes + others, [*told, *single, *((false, true) for true, false in told)]

    def _scene(self, rng: np.random.Generator) -> Scene:
        """A scene; others than of two objects are drawn again with the chance `redraw`."""
        scene = sample_scene(rng)
        while scene.relation is None and rng.random() < self.redraw:
            scene = sample_scene(rng)
        return scene

    def _twins(self) -> int:
        return round(self.clips * self.twins / 2) if self.composed else 0

    def _filmed(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[tuple[str, str]]]:
        """Clips of three scenes of their own; the caption tells of the main scene or of an event."""
        pictures, pairs = [], []
        for _ in range(self.clips):
            scenes = [self._scene(rng) for _ in range(3)]
            timeline = sample_timeline(rng, _VIDEO_FRAMES, _FPS, num_events=2, event_frames=_EVENT_FRAMES)
            for frame in sampled_frames(_VIDEO_FRAMES):
                pictures.append(self._picture(scenes[timeline.scene_at(frame)], frame / _FPS, rng))
            told = scenes[int(rng.integers(3)) if rng.random() < 0.5 else 0]  # noqa: PLR2004  (a coin)
            pairs.append(caption_pair(told, rng, self.omit, self.shares))
        index_BF = np.arange(len(pictures)).reshape(self.clips, NUM_SLOTS)
        return np.stack(pictures), index_BF, pairs

    def _picture(self, scene: Scene, time_s: float, rng: np.random.Generator) -> NDArray[np.uint8]:
        if rng.random() < self.codec_share:
            return through_codec(render_frame(scene, time_s, _VIDEO_PX), self.size_px, rng)
        return render_frame(scene, time_s, self.size_px)


def _timeline_of(clip: int, clips: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Pictures of the 12 frames of a clip: its own scene as the main one or as an event, two others beside it."""
    others = (clip + 1 + rng.choice(clips - 1, size=min(2, clips - 1), replace=False)) % clips
    cast = [clip, int(others[0]), int(others[-1])]
    if rng.random() < 0.5:  # noqa: PLR2004  (a coin)
        cast[0], cast[1] = cast[1], cast[0]
        if rng.random() < 0.5:  # noqa: PLR2004  (a coin)
            cast[1], cast[2] = cast[2], cast[1]
    timeline = sample_timeline(rng, _VIDEO_FRAMES, _FPS, num_events=2, event_frames=_EVENT_FRAMES)
    return np.array([cast[timeline.scene_at(frame)] for frame in sampled_frames(_VIDEO_FRAMES)])
