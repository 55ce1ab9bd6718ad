"""One picture of a video at a presentation time, for people to look at."""

from collections.abc import Iterable
from typing import Any, BinaryIO, cast

import av
import numpy as np
from PIL import Image

from pipeline.decode.source import SAFE_OPTIONS
from schemas.errors import BadVideoError

# Half a millisecond forgives the rounding of stored times.
_SAME_S = 0.0005
# So far from the start it pays to seek.
_FAR_S = 5.0


def frame_at(source: str | BinaryIO, time_s: float, max_side_px: int) -> Image.Image:
    """The frame shown at `time_s`, turned as a player would show it and scaled to fit.

    Args:
        source: a local file's path, or an open file that can seek.
        time_s: seconds after the first frame's presentation time.
        max_side_px: the longer side of the result is at most this.

    Raises:
        BadVideoError: nothing can be decoded.
    """
    try:
        with av.open(source, metadata_errors="ignore", options=dict(SAFE_OPTIONS)) as container:
            frame = _frame(container, time_s)
            if frame is None:
                raise BadVideoError("no_frames", "no frame decodes")
            picture = frame.to_image()
            turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise BadVideoError("decode_error", " ".join(str(error).split())) from None
    if turns:
        picture = Image.fromarray(np.ascontiguousarray(np.rot90(np.asarray(picture), turns)))
    picture.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS)
    return cast("Image.Image", picture)


def _frame(container: Any, time_s: float) -> Any:
    """The last frame shown by then. Where a seek leads is checked; some containers lead elsewhere."""
    stream = container.streams.video[0]
    frames = container.decode(stream)
    first = next(frames, None)
    if first is None:
        return None
    until_s = _time(first) + time_s
    if time_s > _FAR_S and _sought(container, stream, until_s):
        found = _last_until(container.decode(stream), until_s)
        if found is not None:
            return found
        container.seek(0, backward=True)
        frames = container.decode(stream)
    return _last_until(frames, until_s) or first


def _sought(container: Any, stream: Any, until_s: float) -> bool:
    """Whether the container could seek; some cannot, not even to their start."""
    try:
        container.seek(int(until_s / stream.time_base), stream=stream, backward=True)
    except av.error.FFmpegError:
        return False
    return True


def _last_until(frames: Iterable[Any], until_s: float) -> Any:
    """The last frame not after a time; None where the first one that comes is after it already."""
    last = None
    for frame in frames:
        if _time(frame) > until_s + _SAME_S:
            break
        last = frame
    return last


def _time(frame: Any) -> float:
    return 0.0 if frame.time is None else float(frame.time)
