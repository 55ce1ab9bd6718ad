"""Wanted frames with decord: one batch, then the reader is dropped.

A reader that stays open decodes ahead without bound, and its process grows by gigabytes. decord turns pictures
upright itself and ignores the shape of pixels.

It conceals damage, of which `pipeline.decode.unfit` tells.
"""

import os
import re
from collections.abc import Sequence

import decord
import numpy as np
from PIL import Image

from pipeline.decode.choose import DECORD
from pipeline.decode.pyav_frames import Fitter
from pipeline.decode.records import Picture, Probe
from pipeline.decode.unfit import check_count, check_silent, check_size, failed, stderr_size

decord.logging.set_level(decord.logging.ERROR)
# Without this it puts a neighbour in the place of a frame that it cannot reach, up to sixteen times.
os.environ.setdefault("DECORD_REWIND_RETRY_MAX", "0")
_PLACE = re.compile(r"\[[\d:]+\] \S+:\d+: (Error: )?")  # "[05:16:01] /build/src/video.cc:292: "


def decord_pictures(path: str, probe: Probe, wanted: Sequence[int], fitter: Fitter) -> list[Picture]:
    """Decode the wanted frames.

    Args:
        path: a local file that `choose_decoder` gave to decord.
        probe: what it is.
        wanted: positions in presentation order, rising, each once.
        fitter: from an upright RGB picture to uint8 (size, size, 3).

    Raises:
        DecoderUnfitError: with the reason in one line.
    """
    silent_at = stderr_size()
    try:
        batch_NHWC = _batch(path, probe, wanted)
    except (decord.DECORDError, RuntimeError, AssertionError, ValueError, IndexError, OSError) as error:
        raise failed(DECORD, _PLACE.sub("", str(error).strip())) from error
    check_silent(DECORD, silent_at)
    return [
        Picture(index, fitter(Image.fromarray(frame_HWC))) for index, frame_HWC in zip(wanted, batch_NHWC, strict=True)
    ]


def _batch(path: str, probe: Probe, wanted: Sequence[int]) -> np.ndarray:
    """The wanted frames at full size, uint8 (N, H, W, 3); the reader is gone when this returns."""
    reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
    check_count(DECORD, len(reader), probe)
    batch_NHWC: np.ndarray = reader.get_batch(list(wanted)).asnumpy()
    check_size(DECORD, batch_NHWC.shape[1], batch_NHWC.shape[2], probe)
    return batch_NHWC
