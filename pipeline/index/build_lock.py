"""One build at a time for an index, and one change of what is live at a time.

Concurrent writers of one collection lose rows without an error; a version that is removed must not become live
meanwhile. The two locks are apart, since a build takes hours, and what is live must be able to change all that time.

A local index is locked with flock, which ends with its process. An object store has no locks: there a lease object
is renewed while the build lives, and one that was not renewed for ten minutes is taken over.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.lease import Terms, hold
from pipeline.storage import Store
from schemas.errors import StorageError

LOCK_FILE = ".build.lock"
LEASE = "build.lease.json"
_SWITCH_LOCK_FILE = ".switch.lock"
_SWITCH_LEASE = "switch.lease.json"
_BUILDING = "another build, update, delete or gc is writing {root}"
_SWITCHING = "another publish, rollback or gc is under way in {root}"
_LEASE_S = 600.0


@contextmanager
def only_build(index: Store) -> Iterator[None]:
    """Hold the index for writing.

    Raises:
        StorageError: another build, update, delete or gc holds it.
    """
    with hold(index, _terms(LEASE, _BUILDING)) if index.is_remote else _file_lock(index, LOCK_FILE, _BUILDING):
        yield


@contextmanager
def only_switch(index: Store) -> Iterator[None]:
    """Hold what is live, and which versions may become so.

    Raises:
        StorageError: another publish, rollback or gc holds it.
    """
    remote = index.is_remote
    with hold(index, _terms(_SWITCH_LEASE, _SWITCHING)) if remote else _file_lock(index, _SWITCH_LOCK_FILE, _SWITCHING):
        yield


def _terms(name: str, busy: str) -> Terms:
    # Two writers of one index would do harm, so what cannot be read is for a person to look at.
    advice = f"wait until it has ended; if it was killed, remove {{path}} or wait {_LEASE_S / 60:.0f} minutes"
    return Terms(name, busy, advice, renew_s=60.0, stale_s=_LEASE_S, replaces_garbage=False)


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
            raise StorageError(f"{busy.format(root=index.root)}: wait until it has ended") from None
        yield
