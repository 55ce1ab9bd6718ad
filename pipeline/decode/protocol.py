"""Messages between a decoder process and its owner: a length, a JSON header, and raw bytes that the header counts.

Owner to child: a Job. Child to owner, in this order:
    {"kind": "ready"}                                once, when the process can work
    {"kind": "accepted"}                             the request is read; no file has been touched yet
    {"kind": "decoder", "decoder": NAME}             NAME is about to decode; decord first, if at all
    {"kind": "alive"}                                again a stretch of the file is behind: its time begins anew
    {"kind": "clip", "start_s", "end_s", "frame_times_s", "shape", "num_bytes"} + the frames
    {"kind": "done", "facts": {...}, "rss_bytes"}    or {"kind": "bad", "reason", "detail", "rss_bytes"}
                                                     the latter with "clips" and "edges" for too many clips at once
"""

import json
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

_LENGTH = struct.Struct("<I")
MAX_HEADER_BYTES = 4 << 20  # the scenes of a day


def send(stream: BinaryIO, header: dict[str, Any], payload: bytes | memoryview = b"") -> None:
    """Write one message and flush it."""
    text = json.dumps(header | {"num_bytes": len(payload)}).encode()
    stream.write(_LENGTH.pack(len(text)))
    stream.write(text)
    stream.write(payload)
    stream.flush()


def receive(read: Callable[[int], bytes], max_bytes: int = 0) -> tuple[dict[str, Any], bytes]:
    """Read one message.

    Args:
        read: gives exactly that many bytes, or raises.
        max_bytes: limit on its payload.

    Raises:
        ValueError: these bytes are no message.
    """
    (length,) = _LENGTH.unpack(read(_LENGTH.size))
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes")
    header = json.loads(read(length))
    if not isinstance(header, dict) or not isinstance(header.get("num_bytes"), int):
        raise ValueError("a header without num_bytes")
    if not 0 <= header["num_bytes"] <= max_bytes:
        raise ValueError(f"{header['num_bytes']} bytes where at most {max_bytes} may come")
    return header, read(header["num_bytes"])
