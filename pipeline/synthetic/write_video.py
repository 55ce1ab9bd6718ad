"""Frames to a real H.264 mp4, whole or not at all."""

import os
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from schemas.errors import StorageError

_KEYFRAME_EVERY_S = 2
_CRF = 20


def part_path(path: Path) -> Path:
    """Where this process writes a file before it gets its name; a dot file, which no listing of videos takes up."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], fps: int) -> None:
    """Encode with libx264: yuv420p, the index in front (faststart).

    One thread, so that equal frames give equal bytes with one build of PyAV; another build may give others.

    Args:
        path: of the mp4; its folder exists.
        frames: RGB, uint8, (H, W, 3) each, H and W even and the same for all.
        fps: frames a second.

    Raises:
        StorageError: it cannot be written; no part of it stays behind.
    """
    part = part_path(path)
    try:
        _encode(part, frames, fps)
        part.replace(path)
    except (OSError, av.FFmpegError) as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _encode(path: Path, frames: Iterable[NDArray[np.uint8]], fps: int) -> None:
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = None
        for picture in frames:
            if stream is None:
                height, width = picture.shape[:2]
                stream = container.add_stream("libx264", rate=fps, width=width, height=height, pix_fmt="yuv420p")
                stream.gop_size = fps * _KEYFRAME_EVERY_S
                stream.thread_count = 1
                stream.options = {"preset": "veryfast", "crf": str(_CRF)}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())
