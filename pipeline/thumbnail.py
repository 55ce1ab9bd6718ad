"""One picture of a video at a presentation time, for people to look at."""

from typing import cast

import av
import numpy as np
from PIL import Image

from schemas.errors import BadVideoError


def frame_at(path: str, time_s: float, max_side_px: int) -> Image.Image:
    """The frame shown at `time_s`, turned as a player would show it and scaled to fit.

    Args:
        path: a local file.
        time_s: seconds after the first frame's presentation time.
        max_side_px: the longer side of the result is at most this.

    Raises:
        BadVideoError: nothing can be decoded.
    """
    try:
        with av.open(path, metadata_errors="ignore") as container:
            frame = _decode_until(container, time_s)
            if frame is None:
                raise BadVideoError("no_frames", "no frame decodes")
            picture = frame.to_image()  # type: ignore[no-untyped-call]
            turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise BadVideoError("decode_error", " ".join(str(error).split())) from None
    if turns:
        picture = Image.fromarray(np.ascontiguousarray(np.rot90(np.asarray(picture), turns)))
    picture.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS)
    return cast("Image.Image", picture)


def _decode_until(container: "av.container.InputContainer", time_s: float) -> "av.VideoFrame | None":
    """Decode from the start: slower than a seek, but right in every container."""
    first: float | None = None
    last = None
    for frame in container.decode(video=0):
        now = frame.time if frame.time is not None else 0.0
        first = now if first is None else first
        # Half a millisecond forgives the rounding of stored times.
        if now - first > time_s + 0.0005 and last is not None:
            break
        last = frame
    return last
