"""Writes fine tokens into immutable shards: a temporary name, fsync, rename."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from pipeline.index.codecs.codec import ID_BYTES, ClipTokens, Codec
from pipeline.index.codecs.names import codec_of
from pipeline.index.fine_layout import HEADER_BYTES, header, shard_size
from schemas.errors import StorageError
from schemas.manifest import FineShard
from schemas.tables import TokenShape

# Bounds the copy of a table in record form: 64 clips of ViT-B/32 are 40 MB.
_SLAB = 64


class FineWriter:
    """Shards of one version, filled one after the other.

    Args:
        folder: where they go; made if missing.
        shape: F, P and D of every clip.
        codec: name of the codec.
        shard_bytes: a shard is closed before it would exceed this; it holds one clip at least.
        finished: called with each complete shard file, for example to upload it.
        masked: whether the model keeps padded frames out of every score (`Fusion.masked`); codecs that merge need it.
        first: number of the first shard.
    """

    def __init__(
        self,
        folder: Path,
        shape: TokenShape,
        codec: str,
        shard_bytes: int,
        finished: Callable[[Path], None] = lambda path: None,
        *,
        masked: bool = True,
        first: int = 0,
    ) -> None:
        self._folder = folder
        self._shape = shape
        self._codec = codec_of(codec)
        self._masked = masked
        self._first = first
        record_bytes = self._codec.record_dtype(shape).itemsize
        self._capacity = max(1, (shard_bytes - HEADER_BYTES) // record_bytes)
        self._finished = finished
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()
        self._rows = 0
        self._shards: list[FineShard] = []
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, table: pa.Table) -> list[tuple[int, int]]:
        """Write clips.

        Args:
            table: rows of `schemas.tables.clips_schema`.

        Returns:
            shard number and row of each clip, in order.

        Raises:
            StorageError: the tokens have another size than the shape says, or the disk refuses.
        """
        addresses: list[tuple[int, int]] = []
        for batch in table.to_batches(max_chunksize=_SLAB):
            records = to_records(batch, self._shape, self._codec, masked=self._masked)
            while len(records):
                if self._rows == self._capacity:
                    self._finish()
                room = self._capacity - self._rows
                now, records = records[:room], records[room:]
                addresses += [(self._number, self._rows + i) for i in range(len(now))]
                self._write(now.tobytes())
                self._rows += len(now)
        return addresses

    def close(self) -> list[FineShard]:
        """Finish the last shard; all shards, in order."""
        if self._file:
            self._finish()
        return self._shards

    def abort(self) -> None:
        """Leave the unfinished shard under its temporary name."""
        if self._file:
            self._file.close()
            self._file = None

    @property
    def _number(self) -> int:
        return self._first + len(self._shards)

    def _name(self) -> str:
        return f"shard-{self._number:05d}.bin"

    def _write(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._file = (self._folder / f".{self._name()}.part").open("wb")
                self._put(header(self._shape, self._codec.name, self._number))
            self._put(data)
        except OSError as error:
            raise StorageError(f"cannot write {self._folder / self._name()}: {error.strerror}") from error

    def _put(self, data: bytes) -> None:
        if self._file:
            self._file.write(data)
            self._digest.update(data)

    def _finish(self) -> None:
        if self._file is None:
            return
        path = self._folder / self._name()
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.rename(self._file.name, path)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error
        size = shard_size(self._shape, self._codec.name, self._rows)
        self._shards.append(
            FineShard(name=path.name, clips=self._rows, size_bytes=size, sha256=self._digest.hexdigest())
        )
        self._file, self._digest, self._rows = None, hashlib.sha256(), 0
        self._finished(path)


def to_records(batch: pa.RecordBatch, shape: TokenShape, codec: Codec, *, masked: bool) -> np.ndarray:
    """Clips as an array of records.

    Args:
        batch: rows of `schemas.tables.clips_schema`.
        shape: F, P and D of every clip.
        codec: what a record holds.
        masked: `Fusion.masked` of the model.

    Raises:
        StorageError: a column does not fit the shape.
    """
    records = np.zeros(len(batch), codec.record_dtype(shape))
    codec.encode(clip_tokens(batch, shape), records, masked=masked)
    records["frame_times"] = np.nan
    for row, times in enumerate(batch.column("frame_times_s").to_pylist()):
        if len(times) > shape.frames:
            raise StorageError(f"a clip has {len(times)} frame times, the model takes {shape.frames}: extract anew")
        records["frame_times"][row, : len(times)] = times
    ids = [text.encode() for text in batch.column("clip_id").to_pylist()]
    if any(len(text) > ID_BYTES for text in ids):
        raise StorageError(f"a clip_id is longer than {ID_BYTES} bytes: {max(ids, key=len).decode()!r}")
    records["clip_id"] = ids
    return records


def clip_tokens(batch: pa.RecordBatch, shape: TokenShape) -> ClipTokens:
    """The tokens of clips, as views of the table.

    Raises:
        StorageError: a column does not fit the shape.
    """
    f, d = shape.frames, shape.dim
    return ClipTokens(
        _tokens(batch.column("frames"), "frames", (f, d)),
        _tokens(batch.column("temporal_frames"), "temporal_frames", (f, d)),
        _tokens(batch.column("patches"), "patches", (f * shape.patches, d)),
        np.asarray(batch.column("mask").flatten()).reshape(len(batch), f).astype(bool),
    )


def _tokens(column: pa.Array, name: str, shape: tuple[int, ...]) -> np.ndarray:
    width = 2 * int(np.prod(shape))
    if column.type != pa.binary(width):
        raise StorageError(f"column {name} is {column.type}, not {width} bytes a clip as the tables' shape says")
    _, data = column.buffers()
    flat = np.frombuffer(data, "<f2", len(column) * width // 2, offset=column.offset * width)
    return flat.reshape(len(column), *shape)
