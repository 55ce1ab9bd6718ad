"""Pictures of videos, made in a child process that may hang, crash or lie, while its owner only waits for its limit."""

import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from pipeline.decode.child import Child, ChildDiedError, ChildSilentError, ChildTooBigError
from schemas.errors import BadVideoError

STILL_COMMAND = (sys.executable, "-m", "pipeline.decode.still_worker")
_RECYCLE_FILES = 200
_ANSWER_BYTES = 8 << 20
_MEMORY_BYTES = 2 << 30
_CPU_PER_WALL = 4


class IsolatedStills:
    """Owns one child, kept from picture to picture and replaced when it fails.

    Any thread may call; calls run one after the other.

    Args:
        timeout_s: wall time for one picture.
        command: starts the child.
    """

    def __init__(self, timeout_s: float, command: Sequence[str] = STILL_COMMAND) -> None:
        self._timeout_s = timeout_s
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._made = 0

    def close(self) -> None:
        """End the child. The next call starts another."""
        with self._lock:
            self._drop()

    def still(self, uri: str, time_s: float, max_side_px: int) -> bytes:
        """A JPEG of the frame that is shown at a time.

        Args:
            uri: a local path or an object of a store.
            time_s: seconds after the first frame's presentation time.
            max_side_px: the longer side is at most this.

        Raises:
            BadVideoError: there is none; reason "timeout", "memory" or "crash" where it took the child along.
            ReelsiftError: no child can be started, whatever the file.
        """
        request = {"still": {"uri": uri, "time_s": time_s, "max_side_px": max_side_px}}
        limits = {"cpu_s": _CPU_PER_WALL * self._timeout_s, "memory_bytes": _MEMORY_BYTES}
        with self._lock:
            child = self._ready_child()
            try:
                header, payload = self._ask(child, request | limits)
            except (ChildSilentError, ChildDiedError, ChildTooBigError) as error:
                self._drop()
                raise _bad(error, self._timeout_s) from error
            except BaseException:
                # Only after a whole answer the child is in step.
                self._drop()
                raise
        if header["kind"] != "still":
            raise BadVideoError(str(header.get("reason", "crash")), str(header.get("detail", "")))
        return payload

    def _ask(self, child: Child, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        self._made += 1
        end = time.monotonic() + self._timeout_s
        child.send(request)
        child.receive(end, 0, _MEMORY_BYTES)  # "accepted"
        return child.receive(end, _ANSWER_BYTES, _MEMORY_BYTES)

    def _ready_child(self) -> Child:
        if self._child is not None and (self._made >= _RECYCLE_FILES or not self._child.alive()):
            self._drop()
        if self._child is None:
            self._child, self._made = Child.start(self._command), 0
        return self._child

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()


def _bad(error: Exception, timeout_s: float) -> BadVideoError:
    if isinstance(error, ChildSilentError):
        return BadVideoError("timeout", f"no picture within {timeout_s:g} s")
    if isinstance(error, ChildTooBigError):
        return BadVideoError("memory", str(error))
    return BadVideoError("crash", str(error))
