"""Wanted frames with PyAV: one native picture in memory at a time, each known by its time stamp or by counting.

A frame whose packet is lost or broken is left out, never replaced by a neighbour; too many of them, and the
video is refused with the figures.
"""

import bisect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import av
import numpy as np
from PIL import Image

from pipeline.decode.choose import may_leave_out
from pipeline.decode.needed_frames import DamagedError, needed_frames
from pipeline.decode.picture import resized, upright
from pipeline.decode.progress import SILENT, Alive, with_signs
from pipeline.decode.records import Picture, Probe
from pipeline.decode.source import open_container, video_stream
from schemas.errors import BadVideoError

MAX_BROKEN_SHARE: Final = 0.1
# A seek throws away the decoder's state; it must save more than it costs.
_WORTH_A_SEEK: Final = 48
# Only where a container's index is exact and its key frames are true ones.
_SEEKABLE: Final = ("mov,", "matroska")

_BROKEN: Final = SimpleNamespace(pts=None)

Fitter = Callable[[Image.Image], np.ndarray]


@dataclass(frozen=True)
class Run:
    """Wanted frames that are decoded without a seek between them."""

    start: int  # position of the key frame to begin at; 0 begins with the file, without a seek
    wanted: tuple[int, ...]  # positions in presentation order, rising


def plan_runs(key_frames: Sequence[int], wanted: Sequence[int]) -> list[Run]:
    """Split the wanted frames where a seek to a later key frame spares enough decoding.

    Args:
        key_frames: positions of key frames, rising; none means: do not seek.
        wanted: positions of wanted frames, rising.

    >>> plan_runs([0, 100, 200], [10, 20, 190, 199])
    [Run(start=0, wanted=(10, 20)), Run(start=100, wanted=(190, 199))]
    """
    runs: list[tuple[int, list[int]]] = [(0, [])]
    position = 0
    for index in wanted:
        before = bisect.bisect_right(key_frames, index)
        key = key_frames[before - 1] if before else 0
        if key - position >= _WORTH_A_SEEK:
            runs.append((key, []))
        runs[-1][1].append(index)
        position = index
    return [Run(start, tuple(indices)) for start, indices in runs if indices]


@dataclass
class _Tally:
    """Frames that were due, and how many of them came whole."""

    due: int = 0
    good: int = 0

    def check(self) -> None:
        """Refuse a video of which too much is lost."""
        lost = self.due - self.good
        if self.due and not self.good:
            raise BadVideoError("no_frames", f"none of {self.due} frames decodes")
        if lost > MAX_BROKEN_SHARE * self.due:
            raise BadVideoError("degraded", f"{lost} of {self.due} frames do not decode")


def pyav_pictures(
    path: str, probe: Probe, wanted: Sequence[int], fitter: Fitter, *, fast_size: int = 0, alive: Alive = SILENT
) -> Iterator[Picture]:
    """Decode the wanted frames in presentation order, leaving out frames that they do not depend on where it can.

    Args:
        path: a local file.
        probe: what it is.
        wanted: positions in presentation order, rising, each once.
        fitter: from an upright RGB picture to uint8 (size, size, 3).
        fast_size: not 0 asks for `fast` in `needed_frames`, and for pictures that the colour conversion itself brings
            to that short side. Files of which nothing can be left out are decoded as ever.
        alive: called once in a while, see `pipeline.decode.progress`.

    Yields:
        The frames that decode whole; broken ones are left out.

    Raises:
        BadVideoError: no_frames, degraded, or size_change.
    """
    given = -1
    if may_leave_out(probe):
        try:
            for picture in _needed_pictures(path, probe, wanted, fitter, fast_size, alive):
                given = picture.index
                yield picture
            return
        except DamagedError:
            pass  # how much is lost is counted over all frames
    for picture in _all_pictures(path, probe, wanted, fitter, alive):
        if picture.index > given:
            yield picture


def _seekable(probe: Probe) -> bool:
    return bool(probe.pts) and probe.container.startswith(_SEEKABLE) and not probe.num_discarded


def _needed_pictures(
    path: str, probe: Probe, wanted: Sequence[int], fitter: Fitter, fast_size: int, alive: Alive
) -> Iterator[Picture]:
    for run in plan_runs(probe.key_frames if _seekable(probe) else [], wanted):
        frames = needed_frames(path, probe, run.wanted, start=run.start, fast=bool(fast_size), alive=alive)
        for position, frame in frames:
            _check_size(frame, probe)
            image = _image(frame, resized((probe.width, probe.height), fast_size, probe.turn) if fast_size else None)
            yield Picture(position, fitter(upright(image, probe.turn)))


def _all_pictures(path: str, probe: Probe, wanted: Sequence[int], fitter: Fitter, alive: Alive) -> Iterator[Picture]:
    """The same by decoding every frame, and counting those that are lost."""
    tally = _Tally()
    for run in plan_runs(probe.key_frames if _seekable(probe) else [], wanted):
        due, last = set(run.wanted), run.wanted[-1]
        frames, begin = _frames_of_run(path, probe, run, alive)
        tally.due += last + 1 - begin
        for position, frame in frames:
            _check_size(frame, probe)
            tally.good += begin <= position <= last and not frame.is_corrupt
            if position in due and not frame.is_corrupt:
                yield Picture(position, fitter(upright(_image(frame), probe.turn)))
            if position >= last:
                break
        tally.check()


def decoded_frames(path: str, probe: Probe, alive: Alive = SILENT) -> Iterator[tuple[int, Any]]:
    """Every frame that decodes, with its position, in presentation order; one is held at a time.

    Raises:
        BadVideoError: size_change.
    """
    for position, frame in _decode(path, probe, 0, alive):
        if 0 <= position < probe.num_frames:
            _check_size(frame, probe)
            yield position, frame


def _image(frame: Any, size: tuple[int, int] | None = None) -> Image.Image:
    width, height = size or (frame.width, frame.height)
    # The default filter for sub-sampled colour is coarser than decord's, and farther from the original.
    image: Image.Image = frame.reformat(width=width, height=height, format="rgb24", interpolation="BICUBIC").to_image()
    return image


def _frames_of_run(path: str, probe: Probe, run: Run, alive: Alive) -> tuple[Iterator[tuple[int, Any]], int]:
    """Decoded frames with their positions, and the position of the first that is due."""
    if run.start:
        frames = _decode(path, probe, run.start, alive)
        first = next(frames, None)
        if first is not None and first[0] == run.start:
            return itertools.chain([first], frames), run.start
        # The key frame was none, or the container's index lies: read in order rather than lose frames.
    return _decode(path, probe, 0, alive), 0


def _decode(path: str, probe: Probe, start: int, alive: Alive) -> Iterator[tuple[int, Any]]:
    """Frames in presentation order with their positions, from a key frame on."""
    count = 0
    with open_container(path) as container:
        stream = video_stream(container)
        if start:
            container.seek(probe.pts[start], stream=stream)
        for frame in with_signs(_decoded(container, stream), alive):
            position = _position(probe.pts, frame.pts) if probe.pts else count
            count += 1  # a packet that fails still was a frame
            if frame is not _BROKEN and position >= start:
                yield position, frame


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Each frame of the stream, _BROKEN for a packet that fails; ends where reading ends."""
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.error.MemoryError:
                raise  # says nothing about the packet
            except av.error.FFmpegError:
                yield _BROKEN
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError:
        return  # frames that are due and never came are counted as lost


def _position(pts: Sequence[int], stamp: int | None) -> int:
    """The position of a time stamp; -1 for one that no packet has."""
    if stamp is None:
        return -1
    index = bisect.bisect_left(pts, stamp)
    return index if index < len(pts) and pts[index] == stamp else -1


def _check_size(frame: Any, probe: Probe) -> None:
    if (frame.width, frame.height) != (probe.stored_width, probe.stored_height):
        before = f"{probe.stored_width} x {probe.stored_height}"
        raise BadVideoError("size_change", f"pictures of {before} become {frame.width} x {frame.height}")
