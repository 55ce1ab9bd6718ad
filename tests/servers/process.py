"""Server processes of the tests: free ports on loopback, a bounded wait for health, an end by pid."""

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

LOOPBACK = "127.0.0.1"
# A test run that is killed runs no teardown; its servers must not outlive it (PR_SET_PDEATHSIG, SIGKILL). Said by the
# child itself before it becomes the server: to say it in between (preexec_fn) needs a fork of this process, which may
# have threads of gRPC by now, and a fork while one of them holds a lock never returns.
_DIES_WITH_PARENT = (
    *(sys.executable, "-I", "-S", "-c"),
    f"import ctypes, os, sys; ctypes.CDLL(None).prctl(1, {int(signal.SIGKILL)}); os.execv(sys.argv[1], sys.argv[1:])",
)


def free_ports(count: int, low: int = 20000, high: int = 32000, companion: int = 0) -> list[int]:
    """Ports that nobody listens on now, below the range that the kernel gives to clients.

    Args:
        count: how many.
        low: the first port to try.
        high: the last.
        companion: with N, port + N is free too (some servers take it unasked).
    """
    found: list[int] = []
    # Start at a place of this process's own, so that two test runs do not race for the same ports.
    offset = time.monotonic_ns() // 1000 % (high - low)
    for step in range(high - low):
        port = low + (offset + step) % (high - low)
        if all(_is_free(candidate) for candidate in {port, port + companion}):
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"no {count} free ports in {low}-{high}")


def _is_free(port: int) -> bool:
    with ExitStack() as stack:
        try:
            for host in (LOOPBACK, "0.0.0.0"):
                stack.enter_context(socket.socket()).bind((host, port))
                stack.pop_all().close()
        except OSError:
            return False
    return True


class ServerProcess:
    """One child process with its log in a file.

    Args:
        command: the program and its arguments.
        log: where stdout and stderr go; its end is part of every failure message.
        env: the whole environment of the child.
        cwd: its working directory.
    """

    def __init__(self, command: Sequence[str], log: Path, env: dict[str, str], cwd: Path) -> None:
        self.log = log
        self._name = Path(command[0]).name
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                [*_DIES_WITH_PARENT, *command],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
            )

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        return self._process.pid

    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], what: str, limit_s: float) -> None:
        """Wait until `ready` says so; a server that has ended or is too slow is an error with the log's end."""
        deadline = time.monotonic() + limit_s
        while not ready():
            code = self._process.poll()
            if code is not None:
                raise RuntimeError(f"{self._name} ended with code {code} before {what}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._name}: no {what} within {limit_s:.0f} s:\n{self.tail()}")
            time.sleep(0.1)

    def tail(self) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def stop(self, grace_s: float) -> None:
        """Ask it to end; kill it when it does not within `grace_s`."""
        self._process.terminate()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)


def answers(url: str, expect: str = "") -> bool:
    """Whether a GET is answered with 200 and a body that contains `expect`."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return expect in response.read().decode(errors="replace")
    except (urllib.error.URLError, OSError):
        return False
