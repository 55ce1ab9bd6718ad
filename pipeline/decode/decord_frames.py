"""Wanted frames with decord: one batch, then the reader is dropped.

A reader that stays open decodes ahead without bound, and its process grows by gigabytes. decord turns pictures
upright itself and ignores the shape of pixels.

It conceals damage: a broken packet becomes a copy of an older picture. But the FFmpeg inside it then complains on
stderr, and is silent on sound files; so any complaint counts as a failure, and PyAV is asked instead. Complaints
are seen where stderr is a file, as in a worker; elsewhere damage passes.
"""

import os
import re
import stat
from collections.abc import Sequence

import decord
import numpy as np
from PIL import Image

from pipeline.decode.picture import ROTATIONS
from pipeline.decode.pyav_frames import Fitter
from pipeline.decode.records import Picture, Probe

decord.logging.set_level(decord.logging.ERROR)
# Without this it puts a neighbour in the place of a frame that it cannot reach, up to sixteen times.
os.environ.setdefault("DECORD_REWIND_RETRY_MAX", "0")
_STDERR = 2
_PLACE = re.compile(r"\[[\d:]+\] \S+:\d+: (Error: )?")  # "[05:16:01] /build/src/video.cc:292: "


class DecordUnfitError(Exception):
    """decord fails on this file, or sees another video in it than the packets tell; use PyAV."""


def decord_pictures(path: str, probe: Probe, wanted: Sequence[int], fitter: Fitter) -> list[Picture]:
    """Decode the wanted frames.

    Args:
        path: a local file that `choose_decoder` gave to decord.
        probe: what it is.
        wanted: positions in presentation order, rising, each once.
        fitter: from an upright RGB picture to uint8 (size, size, 3).

    Raises:
        DecordUnfitError: with the reason in one line.
    """
    silent_at = _stderr_size()
    try:
        batch_NHWC = _batch(path, probe, wanted)
    except (decord.DECORDError, RuntimeError, AssertionError, ValueError, IndexError, OSError) as error:
        first_line = (str(error).strip().splitlines() or [""])[0]  # a native stack follows
        raise DecordUnfitError(f"decord fails: {_PLACE.sub('', first_line)[:160]}") from error
    if _stderr_size() > silent_at:
        raise DecordUnfitError(f"decord complains: {_first_line_after(silent_at)}")
    return [
        Picture(index, fitter(Image.fromarray(frame_HWC))) for index, frame_HWC in zip(wanted, batch_NHWC, strict=True)
    ]


def _batch(path: str, probe: Probe, wanted: Sequence[int]) -> np.ndarray:
    """The wanted frames at full size, uint8 (N, H, W, 3); the reader is gone when this returns."""
    reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
    if len(reader) != probe.num_frames:
        raise DecordUnfitError(f"decord counts {len(reader)} frames, the file holds {probe.num_frames}")
    batch_NHWC: np.ndarray = reader.get_batch(list(wanted)).asnumpy()
    height, width = probe.stored_height, probe.stored_width
    if probe.turn in ROTATIONS[1::2]:
        height, width = width, height
    if batch_NHWC.shape[1:3] != (height, width):
        seen = f"{batch_NHWC.shape[2]} x {batch_NHWC.shape[1]}"
        raise DecordUnfitError(f"decord gives pictures of {seen}, not {width} x {height}")
    return batch_NHWC


def _stderr_size() -> int:
    """Bytes written to stderr so far; 0 where it is no file and this cannot be known."""
    info = os.fstat(_STDERR)
    return info.st_size if stat.S_ISREG(info.st_mode) else 0


def _first_line_after(offset: int) -> str:
    try:
        text = os.pread(_STDERR, 400, offset).decode(errors="replace")
    except OSError:
        return "of what cannot be read"  # a file opened for writing only
    line = (text.strip().splitlines() or [""])[0]
    return line.split("] ", 1)[-1][:160]  # without the "[h264 @ 0x55...] " in front
