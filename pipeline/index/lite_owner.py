"""Who serves INDEX/milvus.db: Milvus Lite lets one process open a directory, and others may ask that process.

The process that gets the lock serves the directory on loopback and writes its address to INDEX/milvus.owner.json.
Others read the address. When the owner ends, the next one that asks takes its place; what was acknowledged before
is in the write-ahead log.
"""

import atexit
import contextlib
import errno
import json
import os
import shutil
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.index.milvus_client import is_listening
from schemas.errors import VectorStoreError

DATA_DIR = "milvus.db"
OWNER_FILE = "milvus.owner.json"
_COLLECTIONS = "collections"
_LOOPBACK = "127.0.0.1"
# A new owner needs this long at most to open a large directory and to write its address.
_OWNER_WAIT_S = 30.0
_POLL_S = 0.05
# A folder that may only be read.
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NEEDS = (
    "it needs a folder that it may write to, with some room, for searches too; or use a server (index build --milvus)"
)
# Requests of others that are under way when the owner closes.
_GRACE_S = 30.0


@dataclass
class _Served:
    server: Any
    database: Any
    uri: str
    pid: int
    holders: int


_served: dict[Path, _Served] = {}
_guard = threading.RLock()


class LiteOwner:
    """This process's share in the Milvus Lite directory of one index.

    Args:
        index_root: the local directory INDEX.
    """

    def __init__(self, index_root: str) -> None:
        self._root = Path(index_root)
        self._holds = False

    def address(self) -> str:
        """Where the directory is served now; this process becomes its owner if nobody is.

        Raises:
            VectorStoreError: the directory cannot be opened, or its owner does not answer.
        """
        deadline = time.monotonic() + _OWNER_WAIT_S
        while True:
            uri = self._own() or self._find()
            if uri:
                return uri
            if time.monotonic() > deadline:
                raise VectorStoreError(
                    f"{self._root / DATA_DIR} is locked by a process that does not answer on this machine: "
                    "end that process, or use a Milvus server (--milvus http://host:port)"
                )
            time.sleep(_POLL_S)

    def release(self) -> None:
        """Give up this share; the last one of the owner's process closes the directory."""
        with _guard:
            served = _served.get(self._root)
            if not self._holds or served is None or served.pid != os.getpid():
                return
            self._holds = False
            served.holders -= 1
            if not served.holders:
                _close(self._root)

    def _own(self) -> str | None:
        with _guard:
            served = _served.get(self._root)
            # A forked child inherits the entry, but not the threads that serve it.
            if served is None or served.pid != os.getpid():
                served = _serve(self._root)
            if served is None:
                return None
            if not self._holds:
                self._holds = True
                served.holders += 1
            return served.uri

    def _find(self) -> str | None:
        try:
            owner = json.loads((self._root / OWNER_FILE).read_text(encoding="utf-8"))
            uri, pid, host = str(owner["uri"]), int(owner["pid"]), owner["host"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        # A dead owner's port may belong to somebody else by now.
        return uri if host == socket.gethostname() and _alive(pid) and is_listening(uri) else None


def remove_remains(index_root: str, collection: str) -> None:
    """Remove the folder of a collection that was dropped, if it is still there.

    Milvus Lite (3.2) that is killed between making the folder of a collection and writing the schema into it, or while
    it removes them, afterwards neither lists that collection nor lets one of its name be made.

    Args:
        index_root: the local directory INDEX.
        collection: that Milvus Lite has not.
    """
    shutil.rmtree(Path(index_root) / DATA_DIR / _COLLECTIONS / collection, ignore_errors=True)


def _serve(root: Path) -> _Served | None:
    """Open the directory, or None if another process has it."""
    # Not at the top: only an owner needs it, and it reads the environment that milvus_client sets.
    from milvus_lite.adapter.grpc.server import start_server_in_thread  # noqa: PLC0415
    from milvus_lite.exceptions import DataDirLockedError, MilvusLiteError  # noqa: PLC0415

    try:
        server, database, port = start_server_in_thread(str(root / DATA_DIR), host=_LOOPBACK, port=0)
    except DataDirLockedError:
        return None
    except (OSError, MilvusLiteError) as error:
        raise VectorStoreError(_cannot_open(root, error)) from error
    served = _Served(server, database, f"http://{_LOOPBACK}:{port}", os.getpid(), 0)
    _served[root] = served
    try:
        _publish(root, served)
    except OSError as error:
        _close(root)
        raise VectorStoreError(f"Milvus Lite cannot write into {root}: {error.strerror}; {_NEEDS}") from error
    return served


def _cannot_open(root: Path, error: Exception) -> str:
    line = f"cannot open {root / DATA_DIR}: {' '.join(str(error).split())[:300]}"
    refused = isinstance(error, OSError) and error.errno in _REFUSED
    return f"{line}; {_NEEDS}" if refused or not os.access(root, os.W_OK) else line


def _publish(root: Path, served: _Served) -> None:
    part = root / f".{OWNER_FILE}.{served.pid}"
    facts = {"uri": served.uri, "pid": served.pid, "host": socket.gethostname()}
    part.write_text(json.dumps(facts), encoding="utf-8")
    part.replace(root / OWNER_FILE)


def _close(root: Path) -> None:
    served = _served.pop(root)
    # Before the lock is free, so that no successor's address is removed.
    with contextlib.suppress(OSError):
        (root / OWNER_FILE).unlink()
    served.server.stop(_GRACE_S).wait(_GRACE_S)
    served.database.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@atexit.register
def _close_all() -> None:
    with _guard:
        for root in [root for root, served in _served.items() if served.pid == os.getpid()]:
            _close(root)
