"""Reads fine tokens of clips by (shard, row): one positioned read a clip, from local disk."""

import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.stored_clips import StoredClips
from pipeline.index.codecs.form import RecordBlock
from pipeline.index.codecs.names import codec_of
from pipeline.index.fine_cache import local_shards
from pipeline.index.fine_layout import HEADER_BYTES, check_header
from pipeline.storage import Store
from schemas.errors import IndexCorruptError
from schemas.manifest import FineShard, VersionManifest

_SPARE_FILES = 512


@dataclass(frozen=True)
class FineRecords:
    """B clips; the arrays are views of one buffer, in the form of the codec.

    Attributes:
        clip_ids: what the records say they are; to be compared with what was asked for.
        clips: the tokens, as they are scored.
        frame_times_BF: float64 seconds, NaN for padding.
    """

    clip_ids: list[str]
    clips: StoredClips
    frame_times_BF: np.ndarray


class FineStore:
    """The fine shards of one version. Safe for threads.

    Args:
        version_store: the folder of the version; shards of a remote one are first copied to the local cache.
        manifest: what the shards must be.

    Raises:
        IndexCorruptError: a shard is missing, too short or too long, or not the one that the manifest names, or its
            codec is unknown.
        StorageError: a remote shard cannot be fetched.
    """

    def __init__(self, version_store: Store, manifest: VersionManifest) -> None:
        self._codec = codec_of(manifest.codec)
        self._dtype = self._codec.record_dtype(manifest.token_shape)
        self._dim = manifest.token_shape.dim
        self._shards = manifest.shards
        self._files: list[int] = []
        self._paths = local_shards(version_store, manifest)
        _allow_files(len(self._paths))
        try:
            for number, (path, shard) in enumerate(zip(self._paths, manifest.shards, strict=True)):
                self._files.append(_open(path, shard))
                head = os.pread(self._files[-1], HEADER_BYTES, 0)
                check_header(head, manifest.token_shape, manifest.codec, number, str(path))
        except BaseException:
            self.close()
            raise

    def read(self, addresses: Sequence[tuple[int, int]]) -> FineRecords:
        """The records at these (shard, row), in order.

        Raises:
            IndexCorruptError: there is no such record, or its file was cut since it was opened.
        """
        size = self._dtype.itemsize
        data = np.empty((len(addresses), size), np.uint8)
        view = memoryview(data.data).cast("B") if len(addresses) else memoryview(b"")
        for i, (shard, row) in enumerate(addresses):
            self._read_into(view[i * size : (i + 1) * size], shard, row)
        block = RecordBlock(data, self._dtype)
        return FineRecords(
            clip_ids=[text.decode(errors="replace") for text in block.values("clip_id").tolist()],
            clips=self._codec.stored(block, self._dim),
            frame_times_BF=block.values("frame_times"),
        )

    def close(self) -> None:
        """Close the files; no read may be under way."""
        files, self._files = self._files, []
        for file in files:
            os.close(file)

    def _read_into(self, target: memoryview, shard: int, row: int) -> None:
        if not 0 <= shard < len(self._files) or not 0 <= row < self._shards[shard].clips:
            raise IndexCorruptError(
                f"there is no row {row} in fine shard {shard}: Milvus and the shards disagree, build the index anew"
            )
        try:
            got = os.preadv(self._files[shard], [target], HEADER_BYTES + row * len(target))
        except OSError as error:
            raise IndexCorruptError(f"cannot read {self._paths[shard]}: {error.strerror}") from error
        if got != len(target):
            raise IndexCorruptError(f"{self._paths[shard]} ends before row {row}: restore it, or build the index anew")


def _open(path: Path, shard: FineShard) -> int:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise IndexCorruptError(f"{path} is missing: restore it, or build the index anew") from None
    except OSError as error:
        raise IndexCorruptError(f"cannot open {path}: {error.strerror}") from error
    size = os.fstat(file).st_size
    if size != shard.size_bytes:
        os.close(file)
        raise IndexCorruptError(
            f"{path} has {size} bytes, its manifest says {shard.size_bytes}: restore it, or build the index anew"
        )
    # Read-ahead would fetch neighbours that no query asked for.
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    return file


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
