"""One decoder process as its owner sees it: started, spoken to with a deadline, killed and reaped."""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import psutil

from pipeline.decode.protocol import receive, send
from schemas.errors import ReelsiftError

WORKER_COMMAND = (sys.executable, "-m", "pipeline.decode.worker")
START_TIMEOUT_S = 60.0
_ROOT = str(Path(__file__).resolve().parents[2])
_CHUNK_BYTES = 1 << 20
_REAP_S = 5.0
_LOOK_EVERY_S = 0.05
_LAST_WORDS = 300


class ChildDiedError(Exception):
    """The child ended, or broke the protocol."""


class ChildSilentError(Exception):
    """The child did not answer in time."""


class ChildTooBigError(Exception):
    """The child holds more memory than it may."""


class Child:
    """A running decoder process."""

    def __init__(self, process: subprocess.Popen[bytes], stderr: BinaryIO) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process needs pipes for stdin and stdout")
        self._process = process
        self._requests, self._answers = cast(BinaryIO, process.stdin), process.stdout
        self._stderr = stderr
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)
        self._looked = 0.0

    @classmethod
    def start(cls, command: Sequence[str]) -> Self:
        """Start a process and wait until it says that it is ready.

        Raises:
            ReelsiftError: it does not get there; that is the machine's fault, no file's.
        """
        # A file, not a pipe: nobody has to drain it, and its end explains a crash.
        stderr = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (it lives as long as the child)
        paths = [_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
        # One thread for numpy: the machine's cores are shared out among decoders.
        env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=env, bufsize=0
            )
        except OSError as error:
            stderr.close()
            raise ReelsiftError(f"cannot start a decoder process: {error}") from error
        child = cls(process, cast(BinaryIO, stderr))
        try:
            hello, _ = child.receive(time.monotonic() + START_TIMEOUT_S, 0)
            if hello.get("kind") != "ready":
                raise ChildDiedError(f"it says {hello} at its start")
        except (ChildDiedError, ChildSilentError) as error:
            words = child.kill() or str(error)
            raise ReelsiftError(f"a decoder process does not start: {words}") from error
        except BaseException:
            child.kill()
            raise
        return child

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.exit_code is None

    def send(self, header: dict[str, Any]) -> None:
        """Hand over a request. It is smaller than a pipe's buffer, which is empty then: this does not block.

        Raises:
            ChildDiedError: nobody reads.
        """
        self._stderr.seek(0)
        self._stderr.truncate()  # what is in it then belongs to this request
        try:
            send(self._requests, header)
        except OSError as error:
            raise ChildDiedError("it no longer reads requests") from error

    def receive(
        self, end: float, max_bytes: int, memory_bytes: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> tuple[dict[str, Any], bytes]:
        """Read one message.

        Args:
            end: on `clock`, when to give up, however much of it has come.
            max_bytes: limit on its payload.
            memory_bytes: limit on the memory that the process holds meanwhile; 0 for none.
            clock: tells the time in seconds; never faster than `time.monotonic`.

        Raises:
            ChildTooBigError: it holds more, seen within a twentieth of a second.
            ChildSilentError: it did not come in time.
            ChildDiedError: the process ended, or wrote what is no message.
        """

        def read(count: int) -> bytes:
            return self._read(count, end, memory_bytes, clock)

        try:
            return receive(read, max_bytes)
        except ValueError as error:
            raise ChildDiedError(f"it wrote what is no answer ({error})") from error

    def _read(self, count: int, end: float, memory_bytes: int, clock: Callable[[], float]) -> bytes:
        parts: list[bytes] = []
        while count:
            wait_s = end - clock()
            if wait_s <= 0:
                raise ChildSilentError
            self._look(memory_bytes)
            if not self._poll.poll(min(wait_s, _LOOK_EVERY_S if memory_bytes else wait_s) * 1000):
                continue
            part = os.read(self._answers.fileno(), min(count, _CHUNK_BYTES))
            if not part:
                self._reap(1.0)  # so that the exit code is there
                raise ChildDiedError("it closed its answers")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _look(self, memory_bytes: int) -> None:
        now = time.monotonic()
        if not memory_bytes or now - self._looked < _LOOK_EVERY_S:
            return
        self._looked = now
        try:
            held = psutil.Process(self.pid).memory_info().rss
        except psutil.Error:
            return  # it has ended, which reading will tell
        if held > memory_bytes:
            raise ChildTooBigError(f"{held >> 20} MiB held, above {memory_bytes >> 20} MiB")

    def kill(self) -> str:
        """End it, whatever it does, and reap it. Returns the last line it wrote to stderr."""
        self._process.kill()  # by its own id; nothing happens if it has been reaped
        self._reap(_REAP_S)
        for pipe in (self._requests, self._answers):
            pipe.close()
        with self._stderr as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _LAST_WORDS * 4))
            lines = file.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip()[-_LAST_WORDS:] if lines else ""

    def _reap(self, wait_s: float) -> None:
        # A process stuck in the kernel (a dead network disk) cannot be reaped yet, and must not hold the caller;
        # Python tries again whenever another process is started.
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return
