"""What a file is, from one pass over its packets and its first picture: enough to choose a decoder and to sample.

Memory is some 100 bytes a packet, and the number of packets is limited. Time is that of reading the file once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import av

from pipeline.decode.key_frames import is_clean_key
from pipeline.decode.memory import check_pixels, check_size
from pipeline.decode.picture import shown_size, turn_of
from pipeline.decode.progress import PACKETS_A_SIGN, SILENT, Alive, with_signs
from pipeline.decode.records import Probe
from pipeline.decode.source import check_file, moving_streams, open_container, video_stream
from schemas.errors import BadVideoError

MAX_PACKETS = 4_000_000  # 18 hours at 60 frames a second
_FIRST_PICTURE_TRIES = 200
_DECLARES_LENGTH = ("mov,", "matroska", "flv")
_GAP_BYTES = 1024  # between two packets of a matroska file; headers of blocks and clusters take some twenty


@dataclass
class _Scan:
    """What one pass over the packets saw. Times are in units of the video stream's time base."""

    pts: list[int] = field(default_factory=list)
    dts: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)  # pts of clean key frames
    last_key: int = -1 << 62  # pts of the last key frame of any kind
    num_open_keys: int = 0
    num_packets: int = 0
    num_discarded: int = 0
    ordered: bool = True  # decode times only ever rise
    last_shown: tuple[int, int] = (-1 << 62, 0)  # greatest pts, and that packet's duration
    end_s: float = 0.0  # of the video stream
    all_end_s: float = 0.0  # of any stream
    end_byte: int = 0  # where the last packet of any stream ends in the file
    packet_bytes: int = 0
    gap_bytes: int = 0
    first_picture: Any = None
    error: str = ""


def probe(path: str, memory_bytes: int = 0, alive: Alive = SILENT) -> Probe:
    """Look at a file without decoding more than its first picture, and not that if it cannot fit.

    Args:
        path: a local file.
        memory_bytes: what decoding may hold; 0 for no limit.
        alive: called once in a while, see `pipeline.decode.progress`.

    Raises:
        BadVideoError: missing, not_a_file, unreadable, empty, not_a_video, no_video_stream, no_frames, too_large,
            or decode_error where no decoder knows the codec.
    """
    check_file(path)
    with open_container(path) as container:
        num_streams = len(moving_streams(container))
        stream = video_stream(container)
        check_size(stream.codec_context, memory_bytes)
        scan = _scan(container, stream, alive)
        if not scan.num_packets:
            raise BadVideoError("no_frames", f"{container.format.name}: a video stream without a packet{_why(scan)}")
        return _facts(container, stream, scan, num_streams)


def _why(scan: _Scan) -> str:
    return f" ({scan.error})" if scan.error else ""


def _scan(container: Any, stream: Any, alive: Alive) -> _Scan:
    scan = _Scan()
    tries = 0
    try:
        for packet in with_signs(container.demux(), alive, PACKETS_A_SIGN):
            ours = packet.stream_index == stream.index
            if ours and scan.first_picture is None and tries < _FIRST_PICTURE_TRIES:
                # Also with the empty packet at the end: it makes a decoder give out what it still holds.
                tries += 1
                scan.first_picture = _try_decode(packet)
            if packet.size:
                _note_end(scan, packet, ours)
                _note_place(scan, packet)
                if ours:
                    _note_packet(scan, packet)
    except av.error.MemoryError:
        raise  # no fault of the file's bytes
    except av.error.FFmpegError as error:
        scan.error = f"{type(error).__name__} while reading"
    return scan


def _try_decode(packet: Any) -> Any:
    try:
        return next(iter(packet.decode()), None)
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError:
        return None


def _note_end(scan: _Scan, packet: Any, ours: bool) -> None:
    stamp = packet.dts if packet.pts is None else packet.pts
    if stamp is None:
        return
    end_s = float((stamp + (packet.duration or 0)) * packet.time_base)
    scan.all_end_s = max(scan.all_end_s, end_s)
    if ours:
        scan.end_s = max(scan.end_s, end_s)


def _note_place(scan: _Scan, packet: Any) -> None:
    """Add up the bytes of packets, and those between them that are none."""
    scan.packet_bytes += packet.size
    if packet.pos is None or packet.pos < 0:
        return
    gap = packet.pos - scan.end_byte
    if scan.end_byte and gap > _GAP_BYTES:
        scan.gap_bytes += gap
    scan.end_byte = max(scan.end_byte, packet.pos) + packet.size  # laced packets share one place


def _note_packet(scan: _Scan, packet: Any) -> None:
    if packet.is_discard:
        scan.num_discarded += 1
        return
    scan.num_packets += 1
    if scan.num_packets > MAX_PACKETS:
        raise BadVideoError("too_large", f"more than {MAX_PACKETS} frames")
    if packet.dts is not None:
        scan.ordered = scan.ordered and (not scan.dts or packet.dts > scan.dts[-1])
        scan.dts.append(packet.dts)
    if packet.pts is not None:
        scan.pts.append(packet.pts)
        scan.last_shown = max(scan.last_shown, (packet.pts, packet.duration or 0))
        _note_key(scan, packet)


def _note_key(scan: _Scan, packet: Any) -> None:
    """Keep the clean key frames, and count what a seek by presentation time may lose, spoil or miss."""
    if packet.is_keyframe:
        # Such a seek compares with decode times, and would land here when it is meant for the key frame before.
        scan.num_open_keys += packet.dts is not None and packet.dts <= scan.last_key
        scan.last_key = packet.pts
        context = packet.stream.codec_context
        clean = is_clean_key(context.codec.canonical_name, context.extradata or b"", bytes(packet))
        scan.num_open_keys += not clean
        if clean:
            scan.keys.append(packet.pts)
    elif packet.pts < scan.last_key:
        scan.num_open_keys += 1


def _facts(container: Any, stream: Any, scan: _Scan, num_streams: int) -> Probe:
    base = stream.time_base
    # Only when each packet has a time of its own, and time never runs back, does a time name a frame. AVI stores
    # no presentation times; the demuxer's guesses are off by one where frames are reordered.
    keyed = len(scan.pts) == scan.num_packets == len(set(scan.pts)) and scan.ordered
    keyed = keyed and container.format.name != "avi"
    pts = sorted(scan.pts) if keyed else []
    times_s = _times(pts, base) if keyed else _counted_times(scan, stream)
    fps = _mean_rate(times_s, stream)
    last_s = float(scan.last_shown[1] * base) if keyed else 0.0
    stored_width, stored_height, turn = _geometry(stream, scan.first_picture)
    width, height = shown_size(stored_width, stored_height, stream.sample_aspect_ratio, turn)
    position = {value: index for index, value in enumerate(pts)}
    return Probe(
        container=container.format.name,
        codec=stream.codec_context.codec.canonical_name,
        width=width,
        height=height,
        stored_width=stored_width,
        stored_height=stored_height,
        turn=turn,
        fps=fps,
        duration_s=times_s[-1] + (last_s or 1 / fps),
        times_s=times_s,
        pts=pts,
        key_frames=[position[value] for value in sorted(scan.keys)] if keyed else [],
        num_open_keys=scan.num_open_keys,
        starts_negative=min(scan.pts, default=0) < 0,
        num_discarded=scan.num_discarded,
        num_untimed=scan.num_packets - len(scan.pts),
        num_video_streams=num_streams,
        num_expected=_expected(container, stream, scan),
        demux_error=scan.error,
    )


def _geometry(stream: Any, picture: Any) -> tuple[int, int, str]:
    """Stored width and height, and the turn that makes pictures upright."""
    source = stream.codec_context if picture is None else picture
    width, height = int(source.width), int(source.height)
    if width <= 0 or height <= 0:
        raise BadVideoError("no_frames", "no picture decodes, and the header gives no size")
    check_pixels(width, height)
    matrix = None if picture is None else picture.side_data.get("DISPLAYMATRIX")
    return width, height, turn_of(bytes(matrix)) if matrix is not None else ""


def _times(stamps: Sequence[int], base: Any) -> list[float]:
    """Rising time stamps as seconds from the first; one division a value, so each is the nearest float."""
    return [(stamp - stamps[0]) * base.numerator / base.denominator for stamp in stamps]


def _counted_times(scan: _Scan, stream: Any) -> list[float]:
    """Times for frames that are told apart by counting.

    Decode times, shifted to start at 0, are those of the frames as long as the codec's delay is constant; the n-th
    frame shown has the n-th of them. Without them the mean rate must do.
    """
    if len(scan.dts) == scan.num_packets and scan.ordered:
        return _times(scan.dts, stream.time_base)
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    return [index / rate for index in range(scan.num_packets)]


def _mean_rate(times_s: Sequence[float], stream: Any) -> float:
    if len(times_s) > 1 and times_s[-1] > 0:
        return (len(times_s) - 1) / times_s[-1]
    return float(stream.average_rate or stream.guessed_rate or 25)


def _expected(container: Any, stream: Any, scan: _Scan) -> int:
    """Frames that the file should hold by its own header; a cut download holds fewer.

    The count in an mp4's index is no use here, since an edit list hides frames on purpose: length is compared with
    length. The count of an AVI file includes frames that were dropped, as do its times. A matroska file states one
    length for all its streams, and a hole in it leaves the length as it was.
    """
    if container.format.name == "avi":
        reached = scan.end_s / float(stream.time_base)
        return round(scan.num_packets * max(1.0, stream.frames / reached)) if reached > 0 else int(stream.frames)
    if container.format.name.startswith("matroska") and scan.gap_bytes:
        # After a hole the demuxer finds the next cluster without a word.
        return round(scan.num_packets * (1 + scan.gap_bytes / scan.packet_bytes))
    if not container.format.name.startswith(_DECLARES_LENGTH):
        return scan.num_packets
    if stream.duration is not None:
        declared_s, reached_s = float(stream.duration * stream.time_base), scan.end_s
    else:
        declared_s, reached_s = (container.duration or 0) / av.time_base, scan.all_end_s
    if not 0 < reached_s < declared_s or not math.isfinite(declared_s):
        return scan.num_packets
    return round(scan.num_packets * declared_s / reached_s)
