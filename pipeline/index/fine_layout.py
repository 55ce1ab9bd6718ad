"""Bytes of a fine shard: a header of 4096 bytes, then records of one size, one a clip.

Header: magic, then JSON (format, codec, shape, record size, shard number), padded with zeros.
Record: frame times (float64, NaN for padding), frames, temporal frames, patches (float16 or float32), mask, clip_id;
padded to 64 bytes, so that a record begins on a cache line and its arrays are aligned.
"""

import json
from typing import Final

import numpy as np

from schemas.errors import IndexCorruptError
from schemas.tables import TokenShape

HEADER_BYTES: Final = 4096
ID_BYTES: Final = 64
MAGIC: Final = b"REELSIFT-FINE\n"
FORMAT: Final = 1
_ALIGN = 64
_TOKENS = {"fp16": "<f2", "fp32": "<f4"}


def record_dtype(shape: TokenShape, codec: str) -> np.dtype:
    """One record as a numpy type; its size is a multiple of 64.

    >>> record_dtype(TokenShape(frames=2, patches=3, dim=4), "fp16").itemsize
    192
    """
    token = _TOKENS[codec]
    f, p, d = shape.frames, shape.patches, shape.dim
    parts = [
        ("frame_times", "<f8", (f,)),
        ("frames", token, (f, d)),
        ("temporal", token, (f, d)),
        ("patches", token, (f * p, d)),
        ("mask", "u1", (f,)),
        ("clip_id", f"S{ID_BYTES}"),
    ]
    used = np.dtype(parts).itemsize
    return np.dtype([*parts, ("padding", f"V{-used % _ALIGN}")]) if used % _ALIGN else np.dtype(parts)


def header(shape: TokenShape, codec: str, shard: int) -> bytes:
    """The first 4096 bytes of a shard."""
    facts = {
        "format": FORMAT,
        "codec": codec,
        "shape": shape.model_dump(),
        "record_bytes": record_dtype(shape, codec).itemsize,
        "shard": shard,
    }
    return (MAGIC + json.dumps(facts, sort_keys=True).encode()).ljust(HEADER_BYTES, b"\0")


def check_header(found: bytes, shape: TokenShape, codec: str, shard: int, name: str) -> None:
    """Compare the first bytes of a shard with what the manifest says it is.

    Raises:
        IndexCorruptError: it is another shard, of another shape or codec, or no shard at all.
    """
    if not found.startswith(MAGIC):
        raise IndexCorruptError(f"{name} is no fine shard: restore it, or build the index anew")
    if found != header(shape, codec, shard):
        facts = found[len(MAGIC) :].rstrip(b"\0").decode(errors="replace")
        raise IndexCorruptError(
            f"{name} is not shard {shard} of this version ({facts[:200]}): restore it, or build the index anew"
        )


def shard_size(shape: TokenShape, codec: str, clips: int) -> int:
    """Bytes of a shard of so many clips."""
    return HEADER_BYTES + clips * record_dtype(shape, codec).itemsize
