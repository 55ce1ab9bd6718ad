"""One build at a time for an index, and one change of what is live at a time.

Concurrent writers of one collection lose rows without an error; a version that is removed must not become live
meanwhile. The two locks are apart, since a build takes hours, and what is live must be able to change all that time.

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
_SWITCH_LOCK_FILE = ".switch.lock"
_SWITCH_LEASE = "switch.lease.json"
_BUILDING = "another build is writing {root}"
_SWITCHING = "another publish, rollback or gc is under way in {root}"
_RENEW_S = 60.0
_LEASE_S = 600.0


@contextmanager
def only_build(index: Store) -> Iterator[None]:
    """Hold the index for writing.

    Raises:
        StorageError: another build holds it.
    """
    busy = _BUILDING.format(root=index.root)
    with _lease(index, LEASE, busy) if index.is_remote else _file_lock(index, LOCK_FILE, busy):
        yield


@contextmanager
def only_switch(index: Store) -> Iterator[None]:
    """Hold what is live, and which versions may become so.

    Raises:
        StorageError: another publish, rollback or gc holds it.
    """
    busy = _SWITCHING.format(root=index.root)
    with _lease(index, _SWITCH_LEASE, busy) if index.is_remote else _file_lock(index, _SWITCH_LOCK_FILE, busy):
        yield


@contextmanager
def _file_lock(index: Store, name: str, busy: str) -> Iterator[None]:
    path = Path(index.path(name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise StorageError(f"cannot write {path.parent}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"{busy}: wait until it has ended") from None
        yield


@contextmanager
def _lease(index: Store, name: str, busy: str) -> Iterator[None]:
    if not index.create(name, _claim()):
        _refuse_if_alive(index, name, busy)
        index.write(name, _claim())
    stop = threading.Event()
    renewal = threading.Thread(target=_renew, args=(index, name, stop), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        stop.set()
        renewal.join()
        with contextlib.suppress(ReelsiftError):
            index.delete(name)


def _claim() -> bytes:
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "renewed": time.time()}).encode()


def _refuse_if_alive(index: Store, name: str, busy: str) -> None:
    try:
        holder = json.loads(index.read(name))
        host, pid, age_s = holder["host"], int(holder["pid"]), time.time() - float(holder["renewed"])
    except (ValueError, KeyError, TypeError):
        host, pid, age_s = "unknown", 0, 0.0
    here_and_gone = host == socket.gethostname() and pid and not Path(f"/proc/{pid}").exists()
    if age_s < _LEASE_S and not here_and_gone:
        raise StorageError(
            f"{busy} (host {host}, process {pid}): wait until it has ended; "
            f"if it was killed, remove {index.path(name)} or wait {_LEASE_S / 60:.0f} minutes"
        )


def _renew(index: Store, name: str, stop: threading.Event) -> None:
    while not stop.wait(_RENEW_S):
        # A store that is away for a moment is no reason to stop; the writes of the build itself will tell.
        with contextlib.suppress(ReelsiftError):
            index.write(name, _claim())
