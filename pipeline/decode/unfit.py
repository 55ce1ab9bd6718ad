"""Why a decoder other than PyAV is not trusted with a file: it fails, or FFmpeg inside it complains of damage.

Such decoders conceal damage: a broken packet becomes a copy of an older picture. But their FFmpeg then complains on
stderr, and is silent on sound files; so any complaint counts as a failure. Complaints are seen where stderr is a file,
as in a worker; elsewhere damage passes.
"""

import os
import stat

from pipeline.decode.picture import ROTATIONS
from pipeline.decode.records import Probe

_STDERR = 2
_SHOWN_CHARS = 160


class DecoderUnfitError(Exception):
    """A decoder fails on a file, or sees another video in it than the packets tell; use PyAV."""


def stderr_size() -> int:
    """Bytes written to stderr so far; 0 where it is no file and this cannot be known."""
    info = os.fstat(_STDERR)
    return info.st_size if stat.S_ISREG(info.st_mode) else 0


def check_silent(decoder: str, offset: int) -> None:
    """Make sure that nothing was written to stderr since it held `offset` bytes.

    Raises:
        DecoderUnfitError: something was; its first line.
    """
    if stderr_size() > offset:
        raise DecoderUnfitError(f"{decoder} complains: {_first_line_after(offset)}")


def check_count(decoder: str, count: int | None, probe: Probe) -> None:
    """Make sure that a decoder counts the frames that the packets tell.

    Raises:
        DecoderUnfitError: it does not.
    """
    if count != probe.num_frames:
        raise DecoderUnfitError(f"{decoder} counts {count} frames, the file holds {probe.num_frames}")


def check_size(decoder: str, height: int, width: int, probe: Probe) -> None:
    """Make sure that pictures, turned upright, have the size that the file states, in stored pixels.

    Raises:
        DecoderUnfitError: they have not.
    """
    stated = probe.stored_height, probe.stored_width
    if probe.turn in ROTATIONS[1::2]:
        stated = stated[::-1]
    if (height, width) != stated:
        raise DecoderUnfitError(f"{decoder} gives pictures of {width} x {height}, not {stated[1]} x {stated[0]}")


def failed(decoder: str, says: str) -> DecoderUnfitError:
    """The error for what a library says, of which only the first line is for people."""
    first_line = (says.strip().splitlines() or [""])[0]  # a native stack follows
    return DecoderUnfitError(f"{decoder} fails: {first_line[:_SHOWN_CHARS]}")


def _first_line_after(offset: int) -> str:
    try:
        text = os.pread(_STDERR, 400, offset).decode(errors="replace")
    except OSError:
        return "of what cannot be read"  # a file opened for writing only
    line = (text.strip().splitlines() or [""])[0]
    return line.split("] ", 1)[-1][:_SHOWN_CHARS]  # without the "[h264 @ 0x55...] " in front
