"""One build at a time for an index: concurrent writers of one collection lose rows without an error.

A local index is locked with flock, which ends with its process. An object store has no locks: there a lease object
is renewed while the build lives, and one that was not renewed for ten minutes is taken over.
"""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.storage import Store
from schemas.errors import ReelsiftError, StorageError

LOCK_FILE = ".build.lock"
LEASE = "build.lease.json"
_RENEW_S = 60.0
_LEASE_S = 600.0


@contextmanager
def only_build(index: Store) -> Iterator[None]:
    """Hold the index for writing.

    Raises:
        StorageError: another build holds it.
    """
    with _lease(index) if index.is_remote else _file_lock(index):
        yield


@contextmanager
def _file_lock(index: Store) -> Iterator[None]:
    path = Path(index.path(LOCK_FILE))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise StorageError(f"cannot write {path.parent}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"another build is writing {index.root}: wait until it has ended") from None
        yield


@contextmanager
def _lease(index: Store) -> Iterator[None]:
    if not index.create(LEASE, _claim()):
        _refuse_if_alive(index)
        index.write(LEASE, _claim())
    stop = threading.Event()
    renewal = threading.Thread(target=_renew, args=(index, stop), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        stop.set()
        renewal.join()
        with contextlib.suppress(ReelsiftError):
            index.delete(LEASE)


def _claim() -> bytes:
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "renewed": time.time()}).encode()


def _refuse_if_alive(index: Store) -> None:
    try:
        holder = json.loads(index.read(LEASE))
        host, pid, age_s = holder["host"], int(holder["pid"]), time.time() - float(holder["renewed"])
    except (ValueError, KeyError, TypeError):
        host, pid, age_s = "unknown", 0, 0.0
    here_and_gone = host == socket.gethostname() and pid and not Path(f"/proc/{pid}").exists()
    if age_s < _LEASE_S and not here_and_gone:
        raise StorageError(
            f"another build is writing {index.root} (host {host}, process {pid}): wait until it has ended; "
            f"if it was killed, remove {index.path(LEASE)} or wait {_LEASE_S / 60:.0f} minutes"
        )


def _renew(index: Store, stop: threading.Event) -> None:
    while not stop.wait(_RENEW_S):
        # A store that is away for a moment is no reason to stop; the writes of the build itself will tell.
        with contextlib.suppress(ReelsiftError):
            index.write(LEASE, _claim())
