"""One driver at a time on a set of tables: a lease object that its holder renews.

Nothing becomes wrong without it: two drivers do the same work twice and write the same names. It spares that work, and
tells who else is at it. So a lease that cannot be renewed or removed never ends a run.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

import psutil

from pipeline.storage import Store
from schemas.errors import ReelsiftError, StorageError

LEASE: Final = "extract.lease"
RENEW_S: Final = 20.0
STALE_S: Final = 120.0


@dataclass(frozen=True)
class Holder:
    """Who holds the tables.

    Attributes:
        host: its name.
        boot_id: of that host since it was started; two hosts of one name are told apart by it.
        pid: its process.
        started: when that process began, in seconds since 1970; another process may get the same number later.
        since: when it took the lease, in seconds since 1970.
        renewed: its last sign of life, in seconds since 1970.
    """

    host: str
    boot_id: str
    pid: int
    started: float
    since: float
    renewed: float

    @classmethod
    def of(cls, data: bytes) -> "Holder | None":
        """From the object's bytes; None for what is no lease."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError):
            return None

    @classmethod
    def me(cls) -> "Holder":
        """This process, from now on."""
        now = time.time()
        return cls(socket.gethostname(), _boot_id(), os.getpid(), psutil.Process().create_time(), now, now)

    def is_stale(self, now: float, me: "Holder") -> bool:
        """Whether nobody can be at work any more: dead on this very host, or without a sign of life for long."""
        if (self.host, self.boot_id) == (me.host, me.boot_id):
            return not _lives(self.pid, self.started)
        return now - self.renewed > STALE_S

    def same(self, other: "Holder | None") -> bool:
        """Whether both are one process."""
        return other is not None and (self.boot_id, self.pid, self.started) == (
            other.boot_id,
            other.pid,
            other.started,
        )


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _lives(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - started) < 1.0)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True  # somebody else's process: it may be the one


@contextmanager
def only_driver(tables: Store) -> Iterator[None]:
    """Hold the tables while extracting.

    Raises:
        StorageError: another driver lives; in one line who, since when, and its last sign of life.
    """
    me = Holder.me()
    _take(tables, me)
    stop = threading.Event()
    renewal = threading.Thread(target=_renew, args=(tables, me, stop), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        stop.set()
        renewal.join()
        with contextlib.suppress(ReelsiftError):
            # After a long pause of this process it may be another's by now.
            if me.same(Holder.of(tables.read(LEASE))):
                tables.delete(LEASE)


def _take(tables: Store, me: Holder) -> None:
    if tables.create(LEASE, _bytes(me)):
        return
    found = Holder.of(tables.read(LEASE))
    if found is not None and not found.is_stale(time.time(), me):
        raise StorageError(_refusal(tables, found))
    # Two that take over at once both write; the second read tells who came last, and the other one gives way.
    tables.write(LEASE, _bytes(me))
    winner = Holder.of(tables.read(LEASE))
    if winner is not None and not me.same(winner):
        raise StorageError(_refusal(tables, winner))


def _refusal(tables: Store, holder: Holder) -> str:
    since = datetime.fromtimestamp(holder.since, UTC).isoformat(timespec="seconds")
    age_s = max(0.0, time.time() - holder.renewed)
    return (
        f"another extraction is writing {tables.root}: host {holder.host}, process {holder.pid}, since {since}, last "
        f"sign of life {age_s:.0f} s ago; wait until it ends ('reelsift status' shows how far it is), or end it. "
        f"One that was killed on another host is taken over after {STALE_S:.0f} s"
    )


def _bytes(holder: Holder) -> bytes:
    return json.dumps(asdict(holder), indent=2).encode() + b"\n"


def _renew(tables: Store, me: Holder, stop: threading.Event) -> None:
    while not stop.wait(RENEW_S):
        with contextlib.suppress(ReelsiftError):
            tables.write(LEASE, _bytes(Holder(**(asdict(me) | {"renewed": time.time()}))))
