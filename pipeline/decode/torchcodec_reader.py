"""torchcodec, which is optional: it is loaded only where it is asked for, since it imports torch."""

import os
from typing import Any, Final

from pipeline.decode.choose import TORCHCODEC
from schemas.errors import UsageError

# FFmpeg's own complaints, which torchcodec silences unless told otherwise.
_LOG_LEVEL: Final = "TORCHCODEC_FFMPEG_LOG_LEVEL"
# What it says where FFmpeg's libraries are missing.
_MISSING: Final = "libtorchcodec"


def open_torchcodec(path: str) -> Any:
    """A VideoDecoder on one thread, which knows each frame by the time of its packet.

    Raises:
        ImportError, OSError, RuntimeError, ValueError: as torchcodec says it.
    """
    os.environ.setdefault(_LOG_LEVEL, "ERROR")
    from torchcodec.decoders import VideoDecoder  # noqa: PLC0415

    return VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact")


def require_torchcodec(decoder: str) -> None:
    """Make sure that torchcodec loads, if it is the decoder that is asked for.

    Raises:
        UsageError: it does not.
    """
    if decoder != TORCHCODEC:
        return
    try:
        open_torchcodec(os.devnull)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        # One that loads says of the empty file that it is none.
        if not isinstance(error, ImportError | OSError) and _MISSING not in str(error):
            return
        says = (str(error).strip().splitlines() or ["no reason given"])[0][:160]
        raise UsageError(
            f"decoder=torchcodec: torchcodec does not load here ({says}): install torchcodec and FFmpeg's shared "
            "libraries (Debian: libavdevice59), or leave the setting out"
        ) from None
