"""Small real video files whose every frame shows its own number, so that a wrong frame is known exactly.

A picture has a square in its middle. The square's upper half is a bar code of eight bits (the frame's number);
its lower left quarter is red and its lower right quarter blue, so that a turn or a mirror image is seen too.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

BITS = 8
FAST = {
    "libx264": {"preset": "ultrafast", "crf": "20", "bf": "2", "x264-params": "scenecut=0"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:frame-threads=1"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "1M"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "1M"},
    "libsvtav1": {"preset": "10", "crf": "12", "svtav1-params": "lp=1:enable-tf=0"},
    "mpeg4": {"bf": "2", "b": "2M"},
    "mpeg2video": {"bf": "2", "b": "4M"},
}


def picture(number: int, width: int = 160, height: int = 120) -> np.ndarray:
    """The RGB picture of a frame, uint8 (height, width, 3)."""
    out = np.full((height, width, 3), 128, np.uint8)
    side = min(width, height)
    top, left, middle = (height - side) // 2, (width - side) // 2, side // 2
    square = out[top : top + side, left : left + side]
    for bit in range(BITS):
        start, stop = side * bit // BITS, side * (bit + 1) // BITS
        square[:middle, start:stop] = 255 if number >> bit & 1 else 0
    square[middle:, :middle] = (255, 0, 0)
    square[middle:, middle:] = (0, 0, 255)
    return out


def read_number(frame: np.ndarray) -> int:
    """The number that a square picture shows; -1 if it is not upright."""
    side = frame.shape[0]
    low = frame[side * 6 // 8 : side * 7 // 8]
    left, right = low[:, side // 8 : side * 3 // 8], low[:, side * 5 // 8 : side * 7 // 8]
    if left[..., 0].mean() < 150 or left[..., 2].mean() > 100 or right[..., 2].mean() < 150:
        return -1
    bars = frame[side // 8 : side * 3 // 8].mean(axis=(0, 2))
    centres = [(2 * bit + 1) * side // (2 * BITS) for bit in range(BITS)]
    return sum(1 << bit for bit, x in enumerate(centres) if bars[x - 1 : x + 2].mean() > 128)


def write_video(  # noqa: PLR0913  (one argument a trait of the file)
    path: Path,
    *,
    codec: str = "libx264",
    num_frames: int = 60,
    fps: int = 25,
    size: tuple[int, int] = (160, 120),
    gop: int = 12,
    keys: Sequence[int] = (),
    pix_fmt: str = "yuv420p",
    times: Sequence[Fraction] | None = None,
    rotate: int = 0,
    mirror: bool = False,
    aspect: Fraction | None = None,
    faststart: bool = False,
    container_options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
    audio_s: float = 0.0,
) -> Path:
    """Write a video and return its path.

    Args:
        path: its suffix chooses the container.
        codec: an encoder's name.
        num_frames: frames 0 .. num_frames - 1.
        fps: frames a second, unless `times` gives each frame's own time in seconds.
        size: stored width and height.
        gop: frames from one key frame to the next.
        keys: more frames to be key frames.
        pix_fmt: stored pixel format.
        times: presentation times in seconds, one a frame.
        rotate: counter-clockwise turn that a player applies; the stored picture is turned the other way.
        mirror: a player also mirrors left and right.
        aspect: width of a stored pixel over its height.
        faststart: the index of an mp4 comes before the pictures.
        container_options: options of the muxer.
        codec_options: options of the encoder, on top of quick ones.
        audio_s: seconds of silence beside the pictures.
    """
    options = dict(container_options or {}) | ({"movflags": "+faststart"} if faststart else {})
    with scheduling_kept(), av.open(str(path), "w", options=options) as file:
        stream = file.add_stream(codec, rate=fps, options=FAST.get(codec, {}) | (codec_options or {}))
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        base = Fraction(1, 90000 if times else fps)
        set_up(stream.codec_context, gop, base, aspect)
        if rotate or mirror:
            stream.set_display_rotation(rotate, hflip=mirror)
        sound = file.add_stream("aac" if path.suffix == ".mp4" else "libopus", rate=48000) if audio_s else None
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(stored(number, size, rotate, mirror, aspect), format="rgb24")
            frame.pts = round(times[number] / base) if times else number
            frame.time_base = base
            if number in keys:
                frame.pict_type = av.video.frame.PictureType.I
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if sound is not None:
            mux_silence(file, sound, audio_s)
    return path


def set_up(encoder: av.VideoCodecContext, gop: int, base: Fraction, aspect: Fraction | None) -> None:
    """Key frames, unit of time and shape of the pixels; one thread, so that files repeat."""
    encoder.gop_size = gop
    encoder.thread_count = 1
    encoder.time_base = base
    if aspect is not None:
        encoder.sample_aspect_ratio = aspect


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """Give this thread its own scheduling back.

    Where it may, as root, SVT-AV1 makes the thread that opens it a real-time one (SCHED_FIFO, 99) and leaves it so.
    Servers and clusters that a test run starts afterwards inherit that, and starve everything beside them.
    """
    policy, param = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, param)


def stored(number: int, size: tuple[int, int], rotate: int, mirror: bool, aspect: Fraction | None) -> np.ndarray:
    """What a file stores so that a player which stretches, turns by `rotate` and then mirrors shows `picture`."""
    wide = (round(size[0] * max(aspect or 1, 1)), round(size[1] / min(aspect or 1, 1)))
    width, height = wide if rotate % 180 == 0 else wide[::-1]
    shown = picture(number, width, height)
    if mirror:
        shown = shown[:, ::-1]
    turned = np.ascontiguousarray(np.rot90(shown, -rotate // 90))
    return turned if wide == size else np.asarray(Image.fromarray(turned).resize(size))


def mux_silence(file: av.container.OutputContainer, sound: av.AudioStream, seconds: float) -> None:
    """Encode silence into a stream of an open file."""
    for block in range(round(seconds * 48000 / 960)):
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 960), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, block * 960, Fraction(1, 48000)
        file.mux(sound.encode(frame))
    file.mux(sound.encode(None))


def write_audio(path: Path, seconds: float = 1.0) -> Path:
    """Write a media file without pictures."""
    with av.open(str(path), "w") as file:
        sound = file.add_stream("aac" if path.suffix == ".mp4" else "libopus", rate=48000)
        mux_silence(file, sound, seconds)
    return path


def cut_file(source: Path, target: Path, share: float) -> Path:
    """The first `share` of a file's bytes, as after a broken download."""
    data = source.read_bytes()
    target.write_bytes(data[: round(len(data) * share)])
    return target


def remux(source: Path, target: Path, *, from_packet: int = 0, shift_s: float = 0.0) -> Path:
    """Copy the packets into another container without coding them anew.

    Args:
        source: an existing video.
        target: its suffix chooses the container.
        from_packet: packets before this one are left out.
        shift_s: seconds added to all times; may be negative.
    """
    with av.open(str(source)) as old, av.open(str(target), "w", options={"avoid_negative_ts": "disabled"}) as new:
        stream = old.streams.video[0]
        out = new.add_stream_from_template(stream)
        shift = round(Fraction(shift_s) / stream.time_base)
        for position, packet in enumerate(old.demux(stream)):
            if packet.size and position >= from_packet:
                packet.pts += shift
                packet.dts = None if packet.dts is None else packet.dts + shift
                packet.stream = out
                new.mux(packet)
    return target


def patch_box(path: Path, name: bytes, offset: int, value: bytes) -> Path:
    """Overwrite bytes of the first box of that name in an mp4, `offset` bytes behind the name."""
    data = bytearray(path.read_bytes())
    at = data.index(name) + len(name) + offset
    data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


def damage(path: Path, packets: Sequence[int]) -> Path:
    """Overwrite the data of some video packets, counted in decode order, with zeros."""
    with av.open(str(path)) as file:
        places = [(packet.pos, packet.size) for packet in file.demux(file.streams.video[0]) if packet.size]
    data = bytearray(path.read_bytes())
    for number in packets:
        start, size = places[number]
        data[start : start + size] = bytes(size)
    path.write_bytes(data)
    return path


def join(first: Path, second: Path, target: Path, seconds: float) -> Path:
    """Write one stream with the packets of two, the second's times moved by `seconds`."""
    with av.open(str(first)) as one, av.open(str(second)) as two, av.open(str(target), "w") as new:
        out = new.add_stream_from_template(one.streams.video[0])
        for source, shift_s in ((one, 0.0), (two, seconds)):
            shift = round(Fraction(shift_s) / source.streams.video[0].time_base)
            for packet in source.demux(source.streams.video[0]):
                if packet.size:
                    packet.pts += shift
                    packet.dts = None if packet.dts is None else packet.dts + shift
                    packet.stream = out
                    new.mux(packet)
    return target
