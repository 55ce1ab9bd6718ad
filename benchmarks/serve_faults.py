"""What is done to a service under load: replicas are killed, versions switched, Milvus is stopped; and its memory."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import httpx
import psutil

_REPLICA: Final = "ray::ServeReplica:reelsift:"


def replicas(root_pid: int, deployment: str) -> list[psutil.Process]:
    """The replica processes of a deployment below a process, oldest first; shards of a kind count as one."""
    found = []
    for each in psutil.Process(root_pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if " ".join(each.cmdline()).startswith(_REPLICA + deployment):
                found.append((each.create_time(), each))
    return [process for _, process in sorted(found, key=lambda pair: pair[0])]


def family_pss_bytes(root_pid: int) -> int:
    """Proportional set size of a process and all below it: shared pages count once."""
    total = 0
    root = psutil.Process(root_pid)
    for each in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += each.memory_full_info().pss
    return total


@dataclass
class Faults:
    """A thread that does something every so often until it is told to stop.

    Args:
        period_s: time between two deeds.
        deeds: done in turn; each says in a word what it did.
    """

    period_s: float
    deeds: list[Callable[[], str]]
    done: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the first deed comes after one period."""
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> list[str]:
        """End; what was done."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(60)
        return self.done

    def _work(self) -> None:
        turn = 0
        while not self._stop.wait(self.period_s):
            self.done.append(self.deeds[turn % len(self.deeds)]())
            turn += 1


def kill_one(root_pid: int, deployment: str, rng: random.Random) -> str:
    """SIGKILL one replica of a deployment."""
    found = replicas(root_pid, deployment)
    if not found:
        return f"no {deployment} to kill"
    process = rng.choice(found)
    with suppress(psutil.NoSuchProcess):
        process.kill()
    return f"killed {deployment}"


def wait_ready(url: str, limit_s: float) -> float:
    """Seconds until /readyz says so.

    Raises:
        TimeoutError: it does not within the limit.
    """
    start = time.monotonic()
    while time.monotonic() - start < limit_s:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/readyz", timeout=5).status_code == httpx.codes.OK:
                return time.monotonic() - start
        time.sleep(0.05)
    raise TimeoutError(f"not ready within {limit_s:.0f} s")


@dataclass
class MemoryTrace:
    """Samples of the family's memory beside a load."""

    root_pid: int
    period_s: float = 10.0
    samples: list[tuple[float, int]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to take samples."""
        begin = time.monotonic()

        def work() -> None:
            while not self._stop.wait(self.period_s):
                self.samples.append((time.monotonic() - begin, family_pss_bytes(self.root_pid)))

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(60)

    def thirds_mib(self) -> tuple[float, float]:
        """Median of the first and of the last third, in MiB."""
        values = [size / (1 << 20) for _, size in self.samples]
        third = max(1, len(values) // 3)
        first, last = sorted(values[:third]), sorted(values[-third:])
        return (first[len(first) // 2], last[len(last) // 2]) if values else (float("nan"), float("nan"))
