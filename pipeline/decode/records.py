"""What decoding says about a video and what it gives.

All times are seconds on the video's own clock: 0.0 is the moment its first shown frame appears. So the clips of
a file whose pictures start late (a recording joined in the middle, sound that begins first) still start at 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schemas.errors import BadVideoError


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A video file after one pass over its packets, with only its first picture decoded.

    Frames are counted in presentation order. `pts` is the key of each frame (in units of the stream's time base,
    rising); it is empty where the file gives no such keys, and frames are then told apart by counting.
    """

    container: str  # FFmpeg's demuxer name, "mov,mp4,m4a,3gp,3g2,mj2"
    codec: str
    width: int  # as shown: square pixels, turned upright
    height: int
    stored_width: int  # as coded
    stored_height: int
    turn: str  # name of the PIL transposition that makes a stored picture upright; "" for none
    fps: float  # mean over the shown frames
    duration_s: float  # from the first frame's appearance to the end of the last one's
    times_s: Sequence[float]  # presentation times, rising, the first is 0.0
    pts: Sequence[int]
    key_frames: Sequence[int]  # positions of clean key frames, rising
    num_open_keys: int  # key frames, or frames behind them, that a seek would lose, spoil or miss
    starts_negative: bool
    num_discarded: int  # packets that an edit list hides
    num_untimed: int  # packets without a presentation time
    num_video_streams: int
    num_expected: int  # frames that the file's header promises; no less than len(times_s)
    demux_error: str  # why reading ended early; "" if it did not

    @property
    def num_frames(self) -> int:
        """Frames that the file holds and shows."""
        return len(self.times_s)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is asked of one file."""

    path: str
    rule: str  # as `pipeline.sampling.check_rule` knows it
    num_frames: int  # F, frames a clip
    size: int  # side of the square picture
    interpolation: str  # 'bicubic' or 'bilinear'
    max_answer_bytes: int  # all pictures of all clips together
    clip_bytes: int = 0  # what each clip counts against that limit beside its pictures
    memory_bytes: int = 0  # what the process may hold; 0 for no limit
    fast: bool = False  # near key frames instead of the exact ones, and pictures that may drift a little
    decoder: str = "auto"  # or the one that is wanted wherever it may be trusted: "pyav", "torchcodec"
    avoid: str = ""  # why to use none but PyAV; "" to let the probe decide
    first: int = 0  # of the clips that the rule gives, the first that is wanted
    last: int = 0  # the clip behind the last that is wanted; 0 for all of them
    edges: Sequence[float] | None = None  # where the wanted clips begin, and the last one ends, if the rule is slow


@dataclass(frozen=True, kw_only=True)
class ClipRange:
    """Some consecutive clips of a file, as a `Job` names them."""

    first: int
    last: int
    edges: tuple[float, ...] | None = None


class TooManyClipsError(BadVideoError):
    """All clips of a file together are above the limit on an answer, and each of them is below it.

    Args:
        detail: the figures.
        clips: how many the rule gives.
        edges: where they begin, and the last one ends, in seconds; None where the rule tells it at once.
    """

    def __init__(self, detail: str, clips: int, edges: Sequence[float] | None) -> None:
        super().__init__("too_large", detail)
        self.clips = clips
        self.edges = None if edges is None else list(edges)


@dataclass(frozen=True)
class Picture:
    """One wanted frame, fitted to the model."""

    index: int  # position in presentation order
    frame_HWC: np.ndarray  # uint8, size x size x 3


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The columns of the videos table that decoding fills."""

    duration_s: float
    fps: float
    width: int
    height: int
    container: str
    codec: str
    decoder: str  # "decord", "pyav" or "torchcodec"
    decoder_why: str


@dataclass(frozen=True, kw_only=True)
class DecodedClip:
    """A clip's sampled frames."""

    start_s: float
    end_s: float
    frame_times_s: list[float]  # N exact presentation times, rising
    frames_NHWC: np.ndarray  # uint8, N x size x size x 3; 1 <= N <= the frames asked for


@dataclass(frozen=True, kw_only=True)
class DecodedVideo(Facts):
    """A video's facts and clips; a span in which no frame is shown gives no clip."""

    clips: list[DecodedClip]
