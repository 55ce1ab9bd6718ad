"""Clips for a batch: videos decoded in a child process, and others in the place of those that cannot be used."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.config import ModelConfig
from pipeline.datasets.dataset import CaptionedVideos
from pipeline.decode.isolated import IsolatedDecoder
from pipeline.sampling import WHOLE
from pipeline.sources import local_source, remote_source
from pipeline.stages.fetch import local_copy
from pipeline.storage import explain, filesystem, is_remote, retrying
from pipeline.training.bad_videos import BadVideo
from pipeline.training.clip_order import ClipOrder
from schemas.errors import BadVideoError, InputError, StorageError

_MAX_SOURCE_BYTES = 8 << 30


@dataclass(frozen=True)
class LoadedClip:
    """A video as one clip.

    Attributes:
        video: its number in the set.
        pictures_FHWC: uint8, zeros for padding.
        real_F: 1 real, 0 padding.
        bad: videos that should have stood here.
    """

    video: int
    pictures_FHWC: NDArray[np.uint8]
    real_F: NDArray[np.float32]
    bad: tuple[BadVideo, ...] = ()


@dataclass(frozen=True)
class ClipShape:
    """What a model wants to see of a video, and how long that may take."""

    num_frames: int
    size_px: int
    interpolation: str
    timeout_s: float

    @classmethod
    def of(cls, config: ModelConfig, timeout_s: float) -> "ClipShape":
        """For a model."""
        preprocess = config.preprocess
        return cls(config.num_frames, preprocess.image_size, preprocess.interpolation, timeout_s)

    @property
    def clip_bytes(self) -> int:
        """Of the pictures of a clip."""
        return self.num_frames * self.size_px * self.size_px * 3


@dataclass
class ClipLoader:
    """Decodes the videos of a set; each process that uses it has a decoder of its own, started at the first video.

    Attributes:
        videos: key and place of each.
        shape: of a clip.
    """

    videos: tuple[tuple[str, str], ...]
    shape: ClipShape
    _decoder: IsolatedDecoder | None = field(default=None, repr=False)
    _bad: dict[int, BadVideo] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, dataset: CaptionedVideos, shape: ClipShape) -> "ClipLoader":
        """For a split of a set."""
        return cls(dataset.videos, shape)

    def __getstate__(self) -> dict[str, object]:
        """Without the decoder: it belongs to one process."""
        return {"videos": self.videos, "shape": self.shape, "_decoder": None, "_bad": {}}

    def close(self) -> None:
        """End the decoder's process; the next video starts another."""
        if self._decoder is not None:
            self._decoder.close()

    def load(self, order: ClipOrder, step: int, slot: int) -> LoadedClip:
        """The clip for a place in a batch: the first of its candidates that can be used.

        Raises:
            InputError: none of them can.
            StorageError: an object store is away.
        """
        bad: list[BadVideo] = []
        for video in order.candidates(step, slot):
            clip = self.read(video)
            if isinstance(clip, LoadedClip):
                return LoadedClip(clip.video, clip.pictures_FHWC, clip.real_F, tuple(bad))
            bad.append(clip)
        raise InputError(
            f"no video is left for a place of the batch: {bad[0].key} ({bad[0].reason}: {bad[0].detail}) and "
            f"{len(bad) - 1} others that could stand in cannot be used; lower batch={order.batch}, or mend the videos"
        )

    def read(self, video: int) -> LoadedClip | BadVideo:
        """One video, or why it cannot be used; what was found bad is not tried again by this process.

        Raises:
            StorageError: an object store is away.
        """
        if video in self._bad:
            return self._bad[video]
        key, place = self.videos[video]
        try:
            return self._decode(video, place)
        except BadVideoError as error:
            self._bad[video] = BadVideo(key, error.reason, error.detail)
            return self._bad[video]
        except OSError as error:
            raise StorageError(f"cannot read {place}: {explain(error)}; run the same command to go on") from error

    def _decode(self, video: int, place: str) -> LoadedClip:
        shape = self.shape
        self._decoder = self._decoder or IsolatedDecoder(shape.timeout_s)
        with local_copy(place, _etag(place), _MAX_SOURCE_BYTES) as path:
            decoded = self._decoder.decode(path, WHOLE, shape.num_frames, shape.size_px, shape.interpolation)
        frames_NHWC = decoded.clips[0].frames_NHWC
        pictures = np.zeros((shape.num_frames, shape.size_px, shape.size_px, 3), np.uint8)
        pictures[: len(frames_NHWC)] = frames_NHWC
        real = (np.arange(shape.num_frames) < len(frames_NHWC)).astype(np.float32)
        return LoadedClip(video, pictures, real)


def _etag(place: str) -> str:
    """What the source is now: a training set is read as it stands, not as a plan said."""
    if not is_remote(place):
        return local_source(place).etag
    try:
        return remote_source(place, retrying(lambda: filesystem(place).info(place))).etag
    except FileNotFoundError:
        raise BadVideoError("missing", "no such object") from None
    except PermissionError as error:
        raise BadVideoError("unreadable", explain(error)) from None
