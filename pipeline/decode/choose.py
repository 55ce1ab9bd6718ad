"""Which decoder may be trusted with a file; decided before decoding, since the wrong one fails without a word.

decord seeks well and turns pictures itself. But it gives wrong frames silently where time stamps are not those of an
ordinary mp4 or matroska file (edit lists, AVI, MPEG program streams, WMV) and where a seek loses frames (open groups
of pictures, gradual refresh), and it never returns from some transport streams. So it is used only where its frames
were shown to be right, and PyAV, which names each frame by its time, everywhere else.
"""

from pipeline.decode.picture import ROTATIONS
from pipeline.decode.records import Probe

DECORD = "decord"
PYAV = "pyav"
TORCHCODEC = "torchcodec"
AUTO = "auto"
# decord hands out all wanted frames at once and at full size; twelve of 1920 x 1080 just fit.
DECORD_BYTES = 80 << 20
_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
_CODECS = ("h264", "hevc", "vp8", "vp9")
# Where key frames are farther apart there is little to seek to, and PyAV can leave out frames that decord cannot.
_LONG_GROUP = 48
_SPARED_CODECS = ("h264", "hevc")


def choose_decoder(probe: Probe, num_wanted: int, asked: str = AUTO) -> tuple[str, str]:
    """The decoder for a file, and why.

    Args:
        probe: what the file is.
        num_wanted: frames that will be asked for.
        asked: `auto`, or the decoder that is wanted wherever it may be trusted.
    """
    if asked == PYAV:
        return PYAV, "asked for"
    if asked == TORCHCODEC:
        why = _against_torchcodec(probe)
        return (PYAV, f"not torchcodec: {why}") if why else (TORCHCODEC, "asked for, every frame timed")
    against = _against_decord(probe)
    if against:
        return PYAV, against
    size = probe.stored_width * probe.stored_height * 3 * num_wanted
    if size > DECORD_BYTES:
        return PYAV, f"{num_wanted} frames of {probe.stored_width} x {probe.stored_height} are too much to hold at once"
    return DECORD, f"{probe.codec} in {probe.container}, every frame timed"


def _against_decord(probe: Probe) -> str:
    """The first reason not to use decord; empty if there is none."""
    checks = (
        (probe.container not in _CONTAINERS, f"container {probe.container}"),
        (probe.codec not in _CODECS, f"codec {probe.codec}"),
        (probe.num_discarded > 0, "an edit list hides frames"),
        (probe.num_untimed > 0, f"{probe.num_untimed} frames without a time"),
        (not probe.pts, "times that do not tell frames apart"),
        (probe.starts_negative, "time starts below zero"),
        (bool(probe.demux_error), probe.demux_error),
        (probe.num_open_keys > 0, "key frames that do not stand alone"),
        (probe.num_frames < 2, "a single frame"),  # noqa: PLR2004  (says itself)
        (probe.num_video_streams > 1, "several video streams"),
        (probe.turn not in ROTATIONS, "a mirrored picture"),
        (_groups_are_long(probe), "key frames far apart: leaving out frames saves more than seeking"),
    )
    return next((why for holds, why in checks if holds), "")


def _against_torchcodec(probe: Probe) -> str:
    """The first reason not to use torchcodec; empty if there is none. Each frame's time is compared afterwards."""
    checks = (
        (probe.container not in _CONTAINERS, f"container {probe.container}"),
        (probe.num_untimed > 0, f"{probe.num_untimed} frames without a time"),
        (not probe.pts, "times that do not tell frames apart"),
        (bool(probe.demux_error), probe.demux_error),
        (probe.num_video_streams > 1, "several video streams"),
        (probe.turn not in ROTATIONS, "a mirrored picture"),
    )
    return next((why for holds, why in checks if holds), "")


def may_leave_out(probe: Probe) -> bool:
    """Whether PyAV may leave out what wanted frames do not need: each is named by its time, and starts are clean."""
    whole = not (probe.num_discarded or probe.num_untimed or probe.demux_error)
    return probe.codec in _SPARED_CODECS and bool(probe.pts) and bool(probe.key_frames) and whole


def _groups_are_long(probe: Probe) -> bool:
    return may_leave_out(probe) and probe.num_frames > _LONG_GROUP * len(probe.key_frames)
