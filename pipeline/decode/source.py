"""Opening a file as a video: what is refused before a demuxer sees it, and which stream holds the pictures."""

import os
import stat
from pathlib import Path
from typing import Any

import av

from schemas.errors import BadVideoError

# They read other files or addresses that their text names (playlists, session descriptions), or turn any text
# into pictures; none of them is a video file, and an input must not choose what else is opened.
_INDIRECT = {"concat", "dash", "hls", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp", "tty", "webm_dash_manifest"}
_DEMUXERS = ",".join(sorted(set(av.formats_available) - _INDIRECT))
SAFE_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
_BOX_HEADER = 8
_LONG_BOX = 1
_MAX_BOXES = 64


def check_file(path: str) -> None:
    """Refuse what is no readable file with bytes in it. Opens nothing but regular files: a pipe would block.

    Raises:
        BadVideoError: missing, not_a_file, unreadable or empty.
    """
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode):
            raise BadVideoError("not_a_file", f"{_kind(info.st_mode)}, no regular file")
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadVideoError("missing", "no such file") from error
    except OSError as error:
        raise BadVideoError("unreadable", error.strerror or type(error).__name__) from error
    if info.st_size == 0:
        raise BadVideoError("empty", "0 bytes")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def open_container(path: str) -> Any:
    """Open a file's container with PyAV; the caller closes it.

    Raises:
        BadVideoError: not_a_video, with what is known about why.
    """
    av.logging.set_level(None)  # its Python log callback costs a lock a line, and deadlocks with threads
    try:
        container = av.open(os.path.abspath(path), metadata_errors="ignore", options=dict(SAFE_OPTIONS))
    except av.error.MemoryError:
        raise  # no fault of the file's bytes
    except av.error.FFmpegError as error:
        raise BadVideoError("not_a_video", _why_not(path, error)) from error
    name = container.format.name
    if name.endswith("_pipe") or name.startswith("image2"):
        container.close()
        # An animated WebP too: FFmpeg shows one picture of it at most.
        what = "a WebP picture; animated ones are not decoded either" if name == "webp_pipe" else "a still picture"
        raise BadVideoError("not_a_video", f"{what} ({name})")
    return container


def _why_not(path: str, error: Exception) -> str:
    boxes = _top_boxes(Path(path))
    if boxes and b"moov" not in boxes:
        return "an mp4 without its index (moov): cut off, or still being written"
    if isinstance(error, av.error.ArgumentError):
        return "a playlist, a script or a text: formats that name other files are not opened"
    return f"no demuxer accepts it ({type(error).__name__}, {os.path.getsize(path)} bytes)"


def _top_boxes(path: Path) -> list[bytes]:
    """Names of an mp4's outermost boxes; empty if the file is none."""
    names: list[bytes] = []
    with path.open("rb") as file:
        while len(names) < _MAX_BOXES and len(header := file.read(_BOX_HEADER)) == _BOX_HEADER:
            size, name = int.from_bytes(header[:4], "big"), header[4:]
            names.append(name)
            if size == _LONG_BOX:
                size = int.from_bytes(file.read(8), "big") - 8
            if names[0] != b"ftyp" or size < _BOX_HEADER:
                break
            file.seek(size - _BOX_HEADER, os.SEEK_CUR)
    return names if names[:1] == [b"ftyp"] else []


def moving_streams(container: Any) -> list[Any]:
    """The streams of moving pictures; cover art and thumbnails are video streams only by name.

    Raises:
        BadVideoError: no_video_stream, or decode_error if no decoder knows the codec of any.
    """
    kinds = av.stream.Disposition
    still = kinds.attached_pic | kinds.timed_thumbnails | kinds.still_image
    moving = [stream for stream in container.streams.video if not stream.disposition & still]
    if not moving:
        found = sorted({stream.type for stream in container.streams})
        raise BadVideoError("no_video_stream", f"{container.format.name} with {', '.join(found) or 'no'} streams only")
    known = [stream for stream in moving if stream.codec_context is not None]
    if not known:
        raise BadVideoError("decode_error", f"{container.format.name}: no decoder for its video codec")
    return known


def video_stream(container: Any) -> Any:
    """The first stream of moving pictures, set to decode on one thread.

    One thread gives each picture as early as the codec allows and keeps one decode on one core.

    Raises:
        BadVideoError: as `moving_streams`.
    """
    stream = moving_streams(container)[0]
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = "NONE"
    return stream
