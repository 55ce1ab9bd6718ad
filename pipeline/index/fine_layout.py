"""Bytes of a fine shard: a header of 4096 bytes, then records of one size, one a clip.

Header: magic, then JSON (format, codec, shape, record size, shard number), padded with zeros.
Record: what its codec says (`pipeline/index/codecs`), in two tiers. The frames tier: frame times (float64, NaN for
padding), raw and temporal frames, mask, clip_id. Behind it the patches. Each tier is padded to 64 bytes, so that it
begins on a cache line and its arrays are aligned.
"""

import json
from typing import Final

import numpy as np

from pipeline.index.codecs.names import codec_of
from schemas.errors import IndexCorruptError
from schemas.tables import TokenShape

HEADER_BYTES: Final = 4096
MAGIC: Final = b"REELSIFT-FINE\n"
FORMAT: Final = 2


def record_dtype(shape: TokenShape, codec: str) -> np.dtype:
    """One record as a numpy type; its size is a multiple of 64.

    >>> record_dtype(TokenShape(frames=2, patches=3, dim=4), "fp16").itemsize
    192

    Raises:
        IndexCorruptError: the codec is unknown.
    """
    return codec_of(codec).record_dtype(shape)


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
