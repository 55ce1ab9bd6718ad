"""Reads fine tokens of clips by (shard, row): one positioned read a clip, from local disk.

A record has two tiers: the frames stand first, the patches behind them. A reader that scores by frames alone reads that
much of each record.
"""

import os
import resource
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Literal

import numba
import numpy as np

from models.stored_clips import StoredClips
from pipeline.index.codecs.codec import Codec
from pipeline.index.codecs.form import RecordBlock
from pipeline.index.codecs.names import codec_of
from pipeline.index.fine_cache import local_shards
from pipeline.index.fine_layout import HEADER_BYTES, check_header
from pipeline.index.positioned_reads import aligned_rows, fill
from pipeline.storage import Store
from schemas.errors import IndexCorruptError
from schemas.manifest import FineShard, VersionManifest

Tier = Literal["frames", "all"]
_SPARE_FILES = 512


@dataclass(frozen=True)
class FineRecords:
    """B clips; all arrays are views of the bytes that were read, in the form of the codec.

    Attributes:
        block: the bytes.
        codec: what they are.
        dim: D.
        from_disk: how many of them the page cache did not hold.
    """

    block: RecordBlock
    codec: Codec
    dim: int
    from_disk: int = 0

    @property
    def clip_ids(self) -> list[str]:
        """What the records say they are; to be compared with what was asked for."""
        return [text.decode(errors="replace") for text in self.block.values("clip_id").tolist()]

    @cached_property
    def clips(self) -> StoredClips:
        """The tokens, as they are scored."""
        return self.codec.stored(self.block, self.dim)

    @property
    def frame_times_BF(self) -> np.ndarray:  # noqa: N802  (a tensor carries its axes in the name)
        """Seconds, float64, NaN for padding."""
        return self.block.values("frame_times")


class FineStore:
    """The fine shards of one version. Safe for threads.

    Args:
        version_store: the folder of the version; shards of a remote one are first copied to the local cache.
        manifest: what the shards must be.
        only: numbers of the shards that are read here; None for all. There are no records in the others.

    Raises:
        IndexCorruptError: a shard is missing, too short or too long, or not the one that the manifest names, or its
            codec is unknown.
        StorageError: a remote shard cannot be fetched.
    """

    def __init__(self, version_store: Store, manifest: VersionManifest, only: Container[int] | None = None) -> None:
        kept = [number for number in range(len(manifest.shards)) if only is None or number in only]
        codec = codec_of(manifest.codec)
        self._codecs = {"all": codec, "frames": codec.frames_tier()}
        self._dtypes = {tier: part.record_dtype(manifest.token_shape) for tier, part in self._codecs.items()}
        self._dim = manifest.token_shape.dim
        self.has_patches = codec.patches is not None
        self._rows_S = np.zeros(len(manifest.shards), np.int64)
        self._file_S = np.full(len(manifest.shards), -1, np.int32)
        self._files: list[int] = []
        self._paths = dict(zip(kept, local_shards(version_store, manifest, kept), strict=True))
        self._shards = {number: manifest.shards[number] for number in kept}
        _allow_files(len(kept))
        try:
            for number in kept:
                path, shard = self._paths[number], manifest.shards[number]
                self._files.append(_open(path, shard))
                head = os.pread(self._files[-1], HEADER_BYTES, 0)
                check_header(head, manifest.token_shape, manifest.codec, number, str(path))
                self._rows_S[number], self._file_S[number] = shard.clips, self._files[-1]
        except BaseException:
            self.close()
            raise

    def read(self, addresses: Sequence[tuple[int, int]], tier: Tier = "all") -> FineRecords:
        """The records at these (shard, row), in order.

        Args:
            addresses: any; the same one may come twice.
            tier: "frames" leaves the patches on disk, and a clip's raw frames stand for its patches, as with the codec
                `frames`.

        Raises:
            IndexCorruptError: there is no such record, or its file was cut since it was opened.
        """
        dtype = self._dtypes[tier]
        data = aligned_rows(len(addresses), dtype.itemsize)
        from_disk = self._fill(data, addresses)
        return FineRecords(RecordBlock(data, dtype), self._codecs[tier], self._dim, from_disk)

    def check(self) -> None:
        """Prove that the files have the size that they had when they were opened; what is in them is not read.

        Raises:
            IndexCorruptError: one was cut, or grew.
        """
        for number, shard in self._shards.items():
            _check_size(int(self._file_S[number]), self._paths[number], shard)

    def close(self) -> None:
        """Close the files; no read may be under way."""
        files, self._files = self._files, []
        for file in files:
            os.close(file)

    def _fill(self, data: np.ndarray, addresses: Sequence[tuple[int, int]]) -> int:
        """Read the records; how many of them came from disk."""
        file_N, offset_N = self._places(addresses)
        filled = fill(data, file_N, offset_N)
        for place, got in filled.failures.items():
            shard, row = addresses[place]
            if isinstance(got, OSError):
                raise IndexCorruptError(f"cannot read {self._paths[shard]}: {got.strerror}") from got
            raise IndexCorruptError(f"{self._paths[shard]} ends before row {row}: restore it, or build the index anew")
        return filled.from_disk

    def _places(self, addresses: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        """File and offset of each record."""
        count = len(addresses)
        address_N2 = np.fromiter(chain.from_iterable(addresses), np.int64, 2 * count).reshape(-1, 2)
        file_N, offset_N = np.empty(count, np.int32), np.empty(count, np.int64)
        size = self._dtypes["all"].itemsize
        unknown = _find(address_N2, self._file_S, self._rows_S, size, file_N, offset_N)
        if unknown < count:
            shard, row = addresses[unknown]
            raise IndexCorruptError(
                f"there is no row {row} in fine shard {shard}: Milvus and the shards disagree, build the index anew"
            )
        return file_N, offset_N


# Compiled, since a query waits for it: numpy's own steps are some microseconds each, whatever they do.
@numba.njit(cache=True, nogil=True)
def _find(
    address_N2: np.ndarray,
    file_S: np.ndarray,
    rows_S: np.ndarray,
    size: int,
    file_N: np.ndarray,
    offset_N: np.ndarray,
) -> int:
    # The first address that no record has; all are found if it is the number of addresses.
    for n in range(len(address_N2)):
        shard, row = address_N2[n]
        if not (0 <= shard < len(rows_S) and 0 <= row < rows_S[shard]):
            return n
        file_N[n] = file_S[shard]
        offset_N[n] = HEADER_BYTES + row * size
    return len(address_N2)


def _open(path: Path, shard: FineShard) -> int:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise IndexCorruptError(f"{path} is missing: restore it, or build the index anew") from None
    except OSError as error:
        raise IndexCorruptError(f"cannot open {path}: {error.strerror}") from error
    try:
        _check_size(file, path, shard)
    except IndexCorruptError:
        os.close(file)
        raise
    # Read-ahead would fetch neighbours that no query asked for.
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    return file


def _check_size(file: int, path: Path, shard: FineShard) -> None:
    size = os.fstat(file).st_size
    if size != shard.size_bytes:
        raise IndexCorruptError(
            f"{path} has {size} bytes, its manifest says {shard.size_bytes}: restore it, or build the index anew"
        )


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
