"""Wanted frames with torchcodec, where it is asked for and installed: one at a time, each held to its packet's time.

It needs FFmpeg's shared libraries, and its process imports torch: some 750 MB. Its "exact" mode scans the packets, as
our probe does, and turns pictures upright itself (https://meta-pytorch.org/torchcodec/stable/). What it conceals
`pipeline.decode.unfit` tells.
"""

import bisect
from collections.abc import Sequence
from typing import Final

from PIL import Image

from pipeline.decode.choose import TORCHCODEC
from pipeline.decode.pyav_frames import Fitter
from pipeline.decode.records import Picture, Probe
from pipeline.decode.torchcodec_reader import open_torchcodec
from pipeline.decode.unfit import DecoderUnfitError, check_count, check_silent, check_size, failed, stderr_size

_FAILURES: Final = (RuntimeError, ValueError, IndexError, TypeError, ImportError, OSError)


def torchcodec_pictures(path: str, probe: Probe, wanted: Sequence[int], fitter: Fitter) -> list[Picture]:
    """Decode the wanted frames.

    Args:
        path: a local file that `choose_decoder` gave to torchcodec.
        probe: what it is.
        wanted: positions in presentation order, rising, each once.
        fitter: from an upright RGB picture to uint8 (size, size, 3).

    Raises:
        DecoderUnfitError: with the reason in one line.
    """
    silent_at = stderr_size()
    try:
        decoder = open_torchcodec(path)
        check_count(TORCHCODEC, decoder.metadata.num_frames, probe)
        begin_s = float(decoder.metadata.begin_stream_seconds)
        pictures = []
        for index in wanted:
            frame = decoder.get_frame_at(index)
            picture_HWC = frame.data.numpy()
            _check_time(float(frame.pts_seconds) - begin_s, probe, index)
            check_size(TORCHCODEC, picture_HWC.shape[0], picture_HWC.shape[1], probe)
            pictures.append(Picture(index, fitter(Image.fromarray(picture_HWC))))
    except _FAILURES as error:
        raise failed(TORCHCODEC, str(error)) from error
    check_silent(TORCHCODEC, silent_at)
    return pictures


def _check_time(time_s: float, probe: Probe, index: int) -> None:
    """Refuse a frame that is nearer in time to another one than to the one that was asked for."""
    if nearest_index(probe.times_s, time_s) != index:
        wanted_s = probe.times_s[index]
        raise DecoderUnfitError(f"torchcodec gives the frame at {time_s:.3f} s for that at {wanted_s:.3f} s")


def nearest_index(times_s: Sequence[float], time_s: float) -> int:
    """The position of the time that is nearest to a time; the earlier one of two.

    >>> nearest_index([0.0, 1.0, 2.0], 0.9), nearest_index([0.0, 1.0], 5.0), nearest_index([0.0, 1.0], 0.5)
    (1, 1, 0)
    """
    after = bisect.bisect_left(times_s, time_s)
    around = [index for index in (after - 1, after) if 0 <= index < len(times_s)]
    return min(around, key=lambda index: abs(times_s[index] - time_s))
