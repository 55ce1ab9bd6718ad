"""Local copies of fine shards that lie in an object store: fetched once, checked by their sha256."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pipeline.storage import Store
from schemas.errors import IndexCorruptError, StorageError
from schemas.manifest import FINE_DIR, FineShard, VersionManifest

CACHE_VARIABLE = "REELSIFT_CACHE"
_FETCH_THREADS = 4


def cache_root() -> Path:
    """The folder of local copies: REELSIFT_CACHE, else ~/.cache/reelsift."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "reelsift")


def local_shards(version_store: Store, manifest: VersionManifest) -> list[Path]:
    """Local paths of a version's shards, in order; those of a remote version are fetched first.

    Raises:
        IndexCorruptError: what was fetched is not what the manifest says.
        StorageError: it cannot be fetched, or the cache cannot be written.
    """
    if not version_store.is_remote:
        folder = Path(version_store.path(FINE_DIR))
        return [folder / shard.name for shard in manifest.shards]
    folder = cache_root() / "fine" / hashlib.sha256(version_store.root.encode()).hexdigest()[:24]
    try:
        with _only_one(folder), ThreadPoolExecutor(_FETCH_THREADS) as pool:
            paths = list(pool.map(lambda shard: _fetch(version_store, shard, folder), manifest.shards))
            _forget_others(folder, {path.parent.name for path in paths})
            return paths
    except OSError as error:
        raise StorageError(f"cannot write the cache {folder}: {error.strerror}; set {CACHE_VARIABLE}") from error


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Let one process fetch; the others wait, then find the copies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_others(folder: Path, wanted: set[str]) -> None:
    """Remove copies of earlier revisions: they hold what was deleted. Who has one open keeps it until it closes it."""
    for path in folder.iterdir():
        if path.is_dir() and path.name not in wanted:
            shutil.rmtree(path, ignore_errors=True)


def _fetch(version_store: Store, shard: FineShard, folder: Path) -> Path:
    # The checksum is part of the path: a version number that is used again, or a later revision, meets no old copy.
    # A name without "unchecked" is only given to what was checked.
    path = folder / shard.sha256[:16] / shard.name
    if path.exists() and path.stat().st_size == shard.size_bytes:
        return path
    unchecked = path.with_name(f"{shard.name}.unchecked")
    source = version_store.path(f"{FINE_DIR}/{shard.name}")
    try:
        path.parent.mkdir(exist_ok=True)
        version_store.download(f"{FINE_DIR}/{shard.name}", unchecked)
        with unchecked.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != shard.sha256:
            raise IndexCorruptError(
                f"{source} has sha256 {found[:12]}, its manifest says {shard.sha256[:12]}: restore it, or build the "
                "index anew"
            )
        unchecked.replace(path)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise IndexCorruptError(f"{source} is missing: restore it, or build the index anew") from None
        raise
    finally:
        unchecked.unlink(missing_ok=True)
    return path
