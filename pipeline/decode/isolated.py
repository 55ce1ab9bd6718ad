"""Decoding in a child process that may hang, crash or lie, while the caller never does more than wait for its limit."""

import dataclasses
import os
import signal
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np

from pipeline.decode.child import WORKER_COMMAND, Child, ChildDiedError, ChildSilentError, ChildTooBigError
from pipeline.decode.choose import AUTO, PYAV
from pipeline.decode.fair_clock import FairClock
from pipeline.decode.records import ClipRange, DecodedClip, DecodedVideo, Job, TooManyClipsError
from pipeline.sampling import check_rule
from schemas.errors import BadVideoError, ReelsiftError

_RECYCLE_FILES = 200
_RECYCLE_SHARE = 0.5
_ANSWER_BYTES = 1 << 30
_MEMORY_BYTES = 2 << 30
# Threads of the decoders add up; one that computes all the time on its own thread ends by wall time first.
_CPU_PER_WALL = 4
_FAILURES = (ChildSilentError, ChildDiedError, ChildTooBigError)


class IsolatedDecoder:
    """A decoder that owns one child process, kept from file to file and replaced when it fails or grows.

    A file that makes another decoder hang or crash is tried once more with PyAV, one that exceeds the memory of a child
    which decoded others before once more with a fresh one; both within the same time limit.

    Any thread may call; calls run one after the other. Each open decoder holds one idle process of some 60 MB.

    Args:
        timeout_s: wall time for one file, from request to last byte, on a `FairClock`; not the wait for a free child
            or its start. It begins anew with each sign of life, see `pipeline.decode.progress`.
        cpu_s: processor time for one file, over all threads, likewise; four times the wall time if not given.
        memory_bytes: resident memory of the child at any time; 8K pictures of a deep codec fit in 2 GiB.
        max_answer_bytes: limit on all pictures of one file together; the caller's memory holds them all. The
            child's holds one clip, or what decord gives at once (see `choose.DECORD_BYTES`).
        clip_bytes: what each clip counts against that limit beside its pictures.
        recycle_files: files after which a fresh child is started, against leaks in native code. One that holds half
            of its memory while idle is replaced too.
        command: starts the child.
    """

    def __init__(
        self,
        timeout_s: float,
        *,
        cpu_s: float | None = None,
        memory_bytes: int = _MEMORY_BYTES,
        max_answer_bytes: int = _ANSWER_BYTES,
        clip_bytes: int = 0,
        recycle_files: int = _RECYCLE_FILES,
        command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._limits = _Limits(timeout_s, cpu_s or _CPU_PER_WALL * timeout_s, memory_bytes)
        self._max_answer_bytes, self._clip_bytes = max_answer_bytes, clip_bytes
        self._recycle_files = recycle_files
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._num_files = 0
        self._worn_out = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child. The decoder may be used again: the next call starts another."""
        with self._lock:
            self._drop()

    @property
    def pid(self) -> int | None:
        """Process id of the child; None if there is none."""
        child = self._child
        return None if child is None else child.pid

    def start(self) -> None:
        """Start the child now, so that the first file does not wait for it.

        Raises:
            ReelsiftError: no child can be started.
        """
        with self._lock:
            self._ready_child()

    def decode(
        self,
        path: str,
        rule: str,
        num_frames: int,
        size: int,
        interpolation: str,
        *,
        fast: bool = False,
        decoder: str = AUTO,
        part: ClipRange | None = None,
    ) -> DecodedVideo:
        """Decode one local file.

        Args:
            path: of a regular file.
            rule: 'whole', 'fixed:SECONDS', 'scenes' or 'scenes:THRESHOLD'.
            num_frames: F, frames a clip at most.
            size: side of the square pictures.
            interpolation: 'bicubic' or 'bilinear'.
            fast: near key frames instead of the exact ones, and pictures that may drift a little.
            decoder: as `choose_decoder` has it.
            part: the clips that are wanted; None for all.

        Raises:
            TooManyClipsError: all clips together are above `max_answer_bytes`; ask for some at a time.
            BadVideoError: the file cannot be used; reason "timeout", "cpu", "memory" or "crash" where it
                took the child along.
            ConfigError: no such rule.
            ReelsiftError: no child can be started, whatever the file.
        """
        check_rule(rule)
        job = Job(
            path=os.path.abspath(path),
            rule=rule,
            num_frames=num_frames,
            size=size,
            interpolation=interpolation,
            fast=fast,
            decoder=decoder,
            max_answer_bytes=self._max_answer_bytes,
            clip_bytes=self._clip_bytes,
            memory_bytes=self._limits.memory_bytes,
            **({} if part is None else vars(part)),
        )
        with self._lock:
            try:
                return self._decode(job)
            except BaseException as error:
                # After an interrupt, too, an answer may be half read; only a whole one leaves the child in step.
                if not isinstance(error, BadVideoError):
                    self._drop()
                raise

    def _decode(self, job: Job) -> DecodedVideo:
        child, clock = self._ready_child(), FairClock()
        end = clock.now() + self._limits.wall_s
        exchange = _Exchange(child, job, end, self._limits, clock)
        try:
            return self._run(exchange)
        except _FAILURES as error:
            # No file makes its decoder do that: it was somebody, or the kernel for want of memory.
            was_killed = child.exit_code == -signal.SIGKILL
            # What files before it left in the child's memory is not this one's.
            was_full = isinstance(error, ChildTooBigError) and self._num_files > 1
            bad = self._lost(child, error)
            again = exchange.replaceable or was_killed or was_full
            if clock.now() >= end or (exchange.accepted and not again):
                raise bad from error
            # Either it was not the file, or it was ending before it saw it, or PyAV may do what the other could not.
            why = (
                f"{exchange.replaceable}: {bad.reason}, {bad.detail}" if exchange.replaceable and not was_killed else ""
            )
        child = self._ready_child()
        try:
            return self._run(_Exchange(child, dataclasses.replace(job, avoid=why), end, self._limits, clock))
        except _FAILURES as error:
            raise self._lost(child, error) from error

    def _run(self, exchange: "_Exchange") -> DecodedVideo:
        self._num_files += 1
        try:
            return exchange.run()
        finally:
            grown = exchange.rss_bytes > _RECYCLE_SHARE * self._limits.memory_bytes
            self._worn_out = self._worn_out or grown or self._num_files >= self._recycle_files

    def _lost(self, child: Child, error: Exception) -> BadVideoError:
        """End a child that failed, and say how."""
        code = child.exit_code
        self._child = None
        last_words = child.kill()
        if isinstance(error, ChildSilentError):
            return BadVideoError("timeout", f"no answer within {self._limits.wall_s:g} s")
        if isinstance(error, ChildTooBigError):
            return BadVideoError("memory", str(error))
        if code == -signal.SIGXCPU:
            return BadVideoError("cpu", f"more than {self._limits.cpu_s:g} s of processor time")
        return BadVideoError("crash", "; ".join(filter(None, (_ending(code, error), last_words))))

    def _ready_child(self) -> Child:
        if self._child is not None and (self._worn_out or not self._child.alive()):
            self._drop()
        if self._child is None:
            try:
                self._child = Child.start(self._command)
            except ReelsiftError:
                # One may be killed as it starts; why a second does not start is worth telling.
                self._child = Child.start(self._command)
            self._num_files, self._worn_out = 0, False
        return self._child

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()


def _ending(code: int | None, error: Exception) -> str:
    """How a process ended, in words; one that still ran broke the protocol.

    >>> _ending(-11, ValueError())
    'signal 11 (SIGSEGV)'
    """
    if code is None:
        return str(error)
    if code < 0:
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"exit code {code}"


@dataclasses.dataclass(frozen=True)
class _Limits:
    """What one file may take."""

    wall_s: float
    cpu_s: float
    memory_bytes: int


class _Exchange:
    """One request and its answer."""

    def __init__(self, child: Child, job: Job, end: float, limits: _Limits, clock: FairClock) -> None:
        self._child, self._job, self._end, self._limits = child, job, end, limits
        self._clock = clock
        clock.follow(child.pid)
        self.accepted = False
        # The decoder at work, as long as PyAV may still take its place.
        self.replaceable = ""
        self.rss_bytes = 0
        self._clips: list[DecodedClip] = []
        self._left_bytes = job.max_answer_bytes

    def run(self) -> DecodedVideo:
        """The decoded file.

        Raises:
            BadVideoError: as the child says.
            ChildSilentError: time is up.
            ChildTooBigError: it grows beyond its limit.
            ChildDiedError: the child ended, or what it writes is no answer.
        """
        memory_bytes = self._limits.memory_bytes
        self._child.send(
            {"job": dataclasses.asdict(self._job), "cpu_s": self._limits.cpu_s, "memory_bytes": memory_bytes}
        )
        end = self._end
        while True:
            header, payload = self._child.receive(end, self._left_bytes, memory_bytes, self._clock.now)
            try:
                self.accepted = True
                if header["kind"] == "accepted":
                    continue
                if header["kind"] == "alive":
                    end = self._end = self._clock.now() + self._limits.wall_s
                elif header["kind"] == "decoder":
                    self.replaceable = "" if header["decoder"] == PYAV else str(header["decoder"])
                    # Another decoder gets half of what is left, so that PyAV has a chance when it hangs.
                    end = (self._end + self._clock.now()) / 2 if self.replaceable else self._end
                elif header["kind"] == "clip":
                    end = self._end
                    self._take_clip(header, payload)
                else:
                    return self._last(header)
            except (KeyError, TypeError, ValueError) as error:
                raise ChildDiedError(f"an answer that makes no sense ({type(error).__name__})") from error

    def _take_clip(self, header: dict[str, Any], payload: bytes) -> None:
        self.replaceable = ""
        self._left_bytes -= len(payload)
        frames_NHWC = np.frombuffer(payload, np.uint8).reshape(header["shape"])
        self._clips.append(
            DecodedClip(
                start_s=header["start_s"],
                end_s=header["end_s"],
                frame_times_s=list(header["frame_times_s"]),
                frames_NHWC=frames_NHWC,
            )
        )

    def _last(self, header: dict[str, Any]) -> DecodedVideo:
        self.rss_bytes = header["rss_bytes"]
        if header["kind"] == "bad" and "clips" in header:
            raise TooManyClipsError(header["detail"], int(header["clips"]), header["edges"])
        if header["kind"] == "bad":
            raise BadVideoError(header["reason"], header["detail"])
        if header["kind"] != "done":
            raise ChildDiedError(f"an answer of kind {header['kind']!r}")
        return DecodedVideo(clips=self._clips, **header["facts"])
