"""Makes holes: a shard is written anew under another name, with zeros in the place of some records."""

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.index.fine_layout import HEADER_BYTES, record_dtype
from pipeline.storage import Store
from schemas.errors import IndexCorruptError, StorageError
from schemas.manifest import FINE_DIR, FineShard, VersionManifest

_CHUNK_BYTES = 32 << 20
_MEND = (
    "restore it, or, without an end to searches, build and publish a new version and remove the folder of this one; "
    "then run the same command again"
)
_MEND_FIRST = f"nothing was changed; {_MEND}"


@dataclass(frozen=True)
class Holed:
    """A shard with new holes, and the clips and real frames that went."""

    shard: FineShard
    clips: int
    frames: int


def shard_name(number: int, revision: int) -> str:
    """The name of a shard as a revision wrote it.

    >>> shard_name(3, 1), shard_name(3, 4)
    ('shard-00003.bin', 'shard-00003.r4.bin')
    """
    return f"shard-{number:05d}.bin" if revision == 1 else f"shard-{number:05d}.r{revision}.bin"


def make_holes(store: Store, manifest: VersionManifest, number: int, rows: Collection[int], revision: int) -> Holed:
    """Write a shard without some records. The old one stays, and so a second attempt gives the same bytes.

    Args:
        store: the folder of the version.
        manifest: of the revision before.
        number: of the shard.
        rows: of the records; those that are holes already stay so.
        revision: of the manifest that will name the new shard.

    Raises:
        IndexCorruptError: the old shard is missing, or not what the manifest says.
        StorageError: the location refuses.
    """
    old = manifest.shards[number]
    name = shard_name(number, revision)
    with _local(store, old, _MEND) as source:
        target = source.with_name(name)
        holed = _rewrite(source, target, old, manifest, rows)
        if store.is_remote:
            store.upload(target, f"{FINE_DIR}/{name}")
        return holed


def check_shards(store: Store, manifest: VersionManifest, numbers: Iterable[int]) -> None:
    """Look at shards before a change of them begins: what cannot be ended must not get into the journal.

    Args:
        store: the folder of the version.
        manifest: of the revision before.
        numbers: of the shards that will get holes.

    Raises:
        IndexCorruptError: one is missing, or not what the manifest says.
        StorageError: the location refuses.
    """
    for number in numbers:
        shard = manifest.shards[number]
        with _local(store, shard, _MEND_FIRST) as path:
            try:
                with path.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:
                raise IndexCorruptError(f"{path} is missing: {_MEND_FIRST}") from None
            except OSError as error:
                raise StorageError(f"cannot read {path}: {error.strerror}") from error
        if found != shard.sha256:
            raise IndexCorruptError(_other(store.path(f"{FINE_DIR}/{shard.name}"), found, shard, _MEND_FIRST))


@contextmanager
def _local(store: Store, shard: FineShard, mend: str) -> Iterator[Path]:
    """A shard as a local file, in a folder that may be written into."""
    name = f"{FINE_DIR}/{shard.name}"
    if not store.is_remote:
        yield Path(store.path(name))
        return
    with tempfile.TemporaryDirectory(prefix="reelsift-holes-") as scratch:
        path = Path(scratch) / shard.name
        try:
            store.download(name, path)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise IndexCorruptError(f"{store.path(name)} is missing: {mend}") from None
            raise
        yield path


def _other(path: str, found: str, shard: FineShard, mend: str) -> str:
    return f"{path} has sha256 {found[:12]}, its manifest says {shard.sha256[:12]}: {mend}"


def _rewrite(source: Path, target: Path, old: FineShard, manifest: VersionManifest, rows: Collection[int]) -> Holed:
    part = target.with_name(f".{target.name}.part")
    try:
        with source.open("rb") as read, part.open("wb") as write:
            copy = _Copy(read, write, record_dtype(manifest.token_shape, manifest.codec))
            copy.run(np.array(sorted(rows), np.int64))
            if copy.old.hexdigest() != old.sha256:
                raise IndexCorruptError(_other(str(source), copy.old.hexdigest(), old, _MEND))
            write.flush()
            os.fsync(write.fileno())
        part.replace(target)
    except FileNotFoundError:
        raise IndexCorruptError(f"{source} is missing: {_MEND}") from None
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    shard = old.model_copy(
        update={"name": target.name, "sha256": copy.new.hexdigest(), "holes": old.holes + copy.clips}
    )
    return Holed(shard, copy.clips, copy.frames)


class _Copy:
    """One pass over a shard, a few megabytes at a time."""

    def __init__(self, read: IO[bytes], write: IO[bytes], dtype: np.dtype) -> None:
        self._read = read
        self._write = write
        self._dtype = dtype
        self.old = hashlib.sha256()
        self.new = hashlib.sha256()
        self.clips = 0
        self.frames = 0

    def run(self, rows: np.ndarray) -> None:
        head = self._read.read(HEADER_BYTES)
        self.old.update(head)
        self._put(head)
        size = self._dtype.itemsize
        chunk = max(1, _CHUNK_BYTES // size) * size
        first = 0
        while data := self._read.read(chunk):
            self.old.update(data)
            count = len(data) // size
            here = rows[(rows >= first) & (rows < first + count)] - first
            self._put(self._without(data, here) if len(here) else data)
            first += count

    def _without(self, data: bytes, rows: np.ndarray) -> bytearray:
        changed = bytearray(data)
        records = np.frombuffer(changed, self._dtype, len(data) // self._dtype.itemsize)
        there = rows[records["clip_id"][rows] != b""]
        self.clips += len(there)
        self.frames += int(np.count_nonzero(records["mask"][there]))
        # The bytes themselves, padding included: nothing of the clip stays.
        np.frombuffer(changed, np.uint8)[: len(records) * self._dtype.itemsize].reshape(len(records), -1)[rows] = 0
        return changed

    def _put(self, data: bytes | bytearray) -> None:
        self.new.update(data)
        self._write.write(data)
