"""Local copies of fine shards that lie in an object store: fetched once, checked by their sha256.

The cache is bounded: before a version is fetched, the copies of those that were opened longest ago go, as far as they
must. What another process has open stays whole for it, since a file goes with its last reader.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pipeline.storage import Store
from schemas.errors import ConfigError, IndexCorruptError, StorageError
from schemas.manifest import FINE_DIR, FineShard, VersionManifest

CACHE_VARIABLE = "REELSIFT_CACHE"
LIMIT_VARIABLE = "REELSIFT_CACHE_GB"
_DEFAULT_GB = 100.0
_LOCK = ".lock"
_FETCH_THREADS = 4


def cache_root() -> Path:
    """The folder of local copies: REELSIFT_CACHE, else ~/.cache/reelsift."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "reelsift")


def cache_limit() -> int:
    """Bytes that all copies may have together: REELSIFT_CACHE_GB (2^30 bytes each), else 100.

    Raises:
        ConfigError: it is no number above 0.
    """
    text = os.environ.get(LIMIT_VARIABLE) or str(_DEFAULT_GB)
    try:
        limit_gb = float(text)
    except ValueError:
        limit_gb = 0.0
    if not 0 < limit_gb < float("inf"):
        raise ConfigError(f"{LIMIT_VARIABLE} = {text!r}: give the largest size of the cache in GiB, such as 100")
    return int(limit_gb * (1 << 30))


def local_shards(version_store: Store, manifest: VersionManifest, wanted: Sequence[int] | None = None) -> list[Path]:
    """Local paths of shards of a version, in order; those of a remote version are fetched first.

    Args:
        version_store: the folder of the version.
        manifest: what the shards must be.
        wanted: numbers of shards; None for all.

    Raises:
        ConfigError: REELSIFT_CACHE_GB is no number above 0.
        IndexCorruptError: what was fetched is not what the manifest says.
        StorageError: it cannot be fetched, it is larger than the cache may be, or the cache cannot be written.
    """
    shards = manifest.shards if wanted is None else [manifest.shards[number] for number in wanted]
    if not version_store.is_remote:
        folder = Path(version_store.path(FINE_DIR))
        return [folder / shard.name for shard in shards]
    folder = cache_root() / "fine" / hashlib.sha256(version_store.root.encode()).hexdigest()[:24]
    try:
        with _only_one(folder), ThreadPoolExecutor(_FETCH_THREADS) as pool:
            _make_room(folder, sum(shard.size_bytes for shard in shards), cache_limit())
            paths = list(pool.map(lambda shard: _fetch(version_store, shard, folder), shards))
            # Others on this machine may read the rest of the version.
            _forget_others(folder, {_place(folder, shard).parent.name for shard in manifest.shards})
            return paths
    except OSError as error:
        raise StorageError(f"cannot write the cache {folder}: {error.strerror}; set {CACHE_VARIABLE}") from error


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Let one process fetch; the others wait, then find the copies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # When it was opened last is the time of its lock file.
        os.utime(folder / _LOCK)
        yield


def _make_room(folder: Path, needed: int, limit: int) -> None:
    """Remove copies of other versions, those opened longest ago first, until this one fits beside the rest."""
    if needed > limit:
        raise StorageError(
            f"the fine shards of this version have {needed} bytes, the cache {folder.parent} may have {limit}: raise "
            f"{LIMIT_VARIABLE}, or build with a smaller --codec"
        )
    others = sorted((path for path in folder.parent.iterdir() if path != folder and path.is_dir()), key=_opened_at)
    sizes = {path: sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) for path in others}
    used = needed + sum(sizes.values())
    for path in others:
        if used <= limit:
            return
        if _remove_unless_fetching(path):
            used -= sizes[path]


def _opened_at(folder: Path) -> float:
    lock = folder / _LOCK
    return lock.stat().st_mtime if lock.exists() else 0.0


def _remove_unless_fetching(folder: Path) -> bool:
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # The lock file stays: who waits for it would else hold a lock that nobody else sees.
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
    return True


def _forget_others(folder: Path, wanted: set[str]) -> None:
    """Remove copies of earlier revisions: they hold what was deleted. Who has one open keeps it until it closes it."""
    for path in folder.iterdir():
        if path.is_dir() and path.name not in wanted:
            shutil.rmtree(path, ignore_errors=True)


def _place(folder: Path, shard: FineShard) -> Path:
    # The checksum is part of the path: a version number that is used again, or a later revision, meets no old copy.
    return folder / shard.sha256[:16] / shard.name


def _fetch(version_store: Store, shard: FineShard, folder: Path) -> Path:
    # A name without "unchecked" is only given to what was checked.
    path = _place(folder, shard)
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
