"""Wanted frames of H.264 and HEVC, and of all others only what these are predicted from.

Two kinds of packets need no decoding. In H.264 a frame says itself that no other refers to it (nal_ref_idc 0, most
B-frames). And behind the last wanted frame of a group of pictures, in coding order, all is unneeded up to the next
clean key frame. What is decoded is the same to the bit as if all had been; about half of the work is left out where a
video's groups are long.

That holds for whole files. At the first sign of damage this gives up, and the caller decodes everything and counts.
"""

import bisect
from collections.abc import Iterator, Sequence
from typing import Any, Final

import av

from pipeline.decode.progress import SILENT, Alive, with_signs
from pipeline.decode.records import Probe
from pipeline.decode.source import open_container, video_stream

# Only here a frame's own mark is a promise to all others; HEVC's mark leaves out higher temporal layers.
_MARKS_UNREFERRED: Final = ("h264",)


class DamagedError(Exception):
    """Something does not decode as it should."""


def needed_frames(
    path: str, probe: Probe, wanted: Sequence[int], *, start: int = 0, fast: bool = False, alive: Alive = SILENT
) -> Iterator[tuple[int, Any]]:
    """The wanted frames, each with its position, in presentation order.

    Args:
        path: a local file that `choose.may_leave_out` accepts.
        probe: what it is.
        wanted: positions in presentation order, rising, each once.
        start: position of a clean key frame to begin at; 0 begins with the file, without a seek.
        fast: blocks are not smoothed and arithmetic is not exact, so pictures drift a little from the true ones.
        alive: called once in a while, see `pipeline.decode.progress`.

    Raises:
        DamagedError: a packet or a wanted frame is broken, or a wanted frame does not come.
    """
    position_of = {probe.pts[index]: index for index in wanted}
    with open_container(path) as container:
        stream = video_stream(container)
        if fast:
            stream.codec_context.options = {"skip_loop_filter": "all", "flags2": "+fast"}
        if start:
            container.seek(probe.pts[start], stream=stream)
        try:
            for frame in with_signs(_decoded(container, stream, _Needs(probe, wanted, start)), alive):
                position = position_of.pop(frame.pts, None)
                if position is not None:
                    yield position, _whole(frame)
                if not position_of:
                    return
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError as error:
            raise DamagedError from error
    raise DamagedError


def _whole(frame: Any) -> Any:
    if frame.is_corrupt:
        raise DamagedError
    return frame


def _decoded(container: Any, stream: Any, needs: "_Needs") -> Iterator[Any]:
    context = stream.codec_context
    for packet in container.demux(stream):
        if packet.size:
            need = needs.of(packet.pts)
            if not need:
                continue
            context.skip_frame = need
        yield from packet.decode()


class _Needs:
    """Which packets are needed, asked in coding order."""

    def __init__(self, probe: Probe, wanted: Sequence[int], start: int) -> None:
        self._wanted = {probe.pts[index] for index in wanted}
        self._keys = [probe.pts[index] for index in probe.key_frames]
        self._rest = "NONREF" if probe.codec in _MARKS_UNREFERRED else "DEFAULT"
        self._left: dict[int, int] = {}  # group: wanted frames whose packets are still to come
        for stamp in self._wanted:
            group = self._group(stamp)
            self._left[group] = self._left.get(group, 0) + 1
        self._begin = probe.pts[start]

    def _group(self, stamp: int) -> int:
        return bisect.bisect_right(self._keys, stamp)

    def of(self, stamp: int | None) -> str:
        """What the decoder is to skip with this packet in it; empty if the packet is not needed at all."""
        if stamp is None or stamp < self._begin:
            return ""
        group = self._group(stamp)
        if not self._left.get(group):
            return ""
        if stamp in self._wanted:
            self._left[group] -= 1
            return "DEFAULT"
        return self._rest
