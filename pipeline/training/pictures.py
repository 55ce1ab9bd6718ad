"""The frames of one video file, decoded and fitted as extraction does."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.decode.records import DecodedClip, Job
from pipeline.decode.video import decode_clips

_LIMIT_BYTES = 1 << 30


def clip_pictures(
    path: Path, num_frames: int, size_px: int, interpolation: str = "bicubic"
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Pictures of a video as one clip, and which of them are real: a short video has fewer frames than asked for.

    Returns:
        (num_frames, size_px, size_px, 3) uint8 and (num_frames,), 1 for a real frame.

    Raises:
        BadVideoError: the file cannot be used.
    """
    job = Job(
        path=str(path),
        rule="whole",
        num_frames=num_frames,
        size=size_px,
        interpolation=interpolation,
        max_answer_bytes=_LIMIT_BYTES,
    )
    clip = next(item for item in decode_clips(job) if isinstance(item, DecodedClip))
    pictures = np.zeros((num_frames, size_px, size_px, 3), np.uint8)
    real = np.zeros(num_frames, np.float32)
    pictures[: len(clip.frames_NHWC)] = clip.frames_NHWC
    real[: len(clip.frames_NHWC)] = 1
    return pictures, real
