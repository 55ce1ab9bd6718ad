"""A lease object: one holder at a time, renewed while it lives, taken over when it does not.

For what is not to be done twice at once by processes that share nothing but a store. It is no lock: a process that
stands still for longer than the limit wakes up beside its successor. A lease that cannot be renewed or removed never
ends the work itself.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import psutil

from pipeline.storage import Store
from schemas.errors import ReelsiftError, StorageError


@dataclass(frozen=True)
class Terms:
    """What a lease is about.

    Attributes:
        name: of the object.
        busy: what another holder is doing, for the line that refuses; may name {root}.
        advice: what to do about it; may name {path}, of the object.
        renew_s: seconds between two signs of life.
        stale_s: seconds without one, after which a holder on another host counts as dead.
        replaces_garbage: whether an object that is no lease may be replaced; else somebody has to remove it.
    """

    name: str
    busy: str
    advice: str
    renew_s: float
    stale_s: float
    replaces_garbage: bool


@dataclass(frozen=True)
class Holder:
    """Who holds a lease. Older releases wrote host, process and last sign of life alone.

    Attributes:
        host: its name.
        pid: its process.
        renewed: its last sign of life, in seconds since 1970.
        boot_id: of that host since it was started; two hosts of one name are told apart by it.
        started: when that process began, in seconds since 1970; another process may get the same number later.
        since: when it took the lease, in seconds since 1970.
    """

    host: str
    pid: int
    renewed: float
    boot_id: str = ""
    started: float = 0.0
    since: float = 0.0

    @classmethod
    def of(cls, data: bytes) -> "Holder | None":
        """From the object's bytes; None for what is no lease."""
        try:
            found = cls(**json.loads(data))
            return replace(found, pid=int(found.pid), renewed=float(found.renewed), started=float(found.started))
        except (ValueError, TypeError):
            return None

    @classmethod
    def me(cls) -> "Holder":
        """This process, from now on."""
        now = time.time()
        return cls(socket.gethostname(), os.getpid(), now, _boot_id(), psutil.Process().create_time(), now)

    def to_bytes(self) -> bytes:
        """What `of` reads."""
        return json.dumps(asdict(self), indent=2).encode() + b"\n"

    def is_stale(self, now: float, me: "Holder", stale_s: float) -> bool:
        """Whether nobody can be at work any more: dead on this very host, or without a sign of life for long."""
        if self.host == me.host and self.boot_id == me.boot_id:
            return not _lives(self.pid, self.started)
        if self.host == me.host and not self.boot_id and not _lives(self.pid, self.started):
            return True
        return now - self.renewed > stale_s

    def same(self, other: "Holder | None") -> bool:
        """Whether both are one process."""
        mine = (self.boot_id, self.pid, self.started)
        return other is not None and mine == (other.boot_id, other.pid, other.started)


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _lives(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        ours = not started or abs(process.create_time() - started) < 1.0
        return bool(ours and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True  # somebody else's process: it may be the one


@contextmanager
def hold(store: Store, terms: Terms) -> Iterator[None]:
    """Hold a lease.

    Raises:
        StorageError: another holder lives; in one line who, since when, and its last sign of life.
    """
    me = Holder.me()
    _take(store, terms, me)
    stop = threading.Event()
    renewal = threading.Thread(target=_renew, args=(store, terms, me, stop), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        stop.set()
        renewal.join()
        with contextlib.suppress(ReelsiftError):
            # After a long pause of this process it may be another's by now.
            if me.same(Holder.of(store.read(terms.name))):
                store.delete(terms.name)


def refusal(store: Store, terms: Terms) -> str | None:
    """Why `hold` would refuse now; None where it would not."""
    try:
        data = store.read(terms.name)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    found = Holder.of(data)
    free = terms.replaces_garbage if found is None else found.is_stale(time.time(), Holder.me(), terms.stale_s)
    return None if free else _refusal(store, terms, found)


def _take(store: Store, terms: Terms, me: Holder) -> None:
    if store.create(terms.name, me.to_bytes()):
        return
    if why := refusal(store, terms):
        raise StorageError(why)
    # Two that take over at once both write; the second read tells who came last, and the other one gives way.
    store.write(terms.name, me.to_bytes())
    winner = Holder.of(store.read(terms.name))
    if winner is not None and not me.same(winner):
        raise StorageError(_refusal(store, terms, winner))


def _refusal(store: Store, terms: Terms, holder: Holder | None) -> str:
    busy, advice = terms.busy.format(root=store.root), terms.advice.format(path=store.path(terms.name))
    if holder is None:
        return f"{busy}, it seems: its lease cannot be read; {advice}"
    since = datetime.fromtimestamp(holder.since, UTC).isoformat(timespec="seconds") if holder.since else "?"
    age_s = max(0.0, time.time() - holder.renewed)
    who = f"host {holder.host}, process {holder.pid}, since {since}, last sign of life {age_s:.0f} s ago"
    return f"{busy}: {who}; {advice}"


def _renew(store: Store, terms: Terms, me: Holder, stop: threading.Event) -> None:
    while not stop.wait(terms.renew_s):
        # A store that is away for a moment is no reason to stop; the writes of the work itself will tell.
        with contextlib.suppress(ReelsiftError):
            store.write(terms.name, replace(me, renewed=time.time()).to_bytes())
