"""The child that decodes: `python -m pipeline.decode.worker`, with requests on stdin and answers on stdout.

It imports no torch and no ray, so it starts quickly and stays small. It ends with its owner: when stdin closes, or
when the process that started it is gone. (PR_SET_PDEATHSIG is no use: it fires when the starting thread ends.)
"""

import dataclasses
import math
import os
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.decode.choose import TORCHCODEC
from pipeline.decode.protocol import receive, send
from pipeline.decode.records import DecodedClip, Facts, Job, TooManyClipsError
from pipeline.decode.video import decode_clips
from schemas.errors import BadVideoError

STDERR_BYTES = 1 << 20
# Of its address space numpy and the decoders reserve 0.6 GB at rest; a mapped file counts too.
_SPARE_ADDRESSES = 2 << 30
# torch with CUDA's libraries maps more than all others together, and allocates some of it.
_TORCH_ADDRESSES, _TORCH_DATA = 24 << 30, 1 << 30
# The owner ends a child that holds too much, and knows why; this is for one that grows faster than it looks.
_SPARE_DATA = 256 << 20


def main() -> None:
    """Decode clips until stdin ends."""
    serve(lambda header, answers: _answer(Job(**header["job"]), answers, header["cpu_s"]))


def serve(work: Callable[[dict[str, Any], BinaryIO], None]) -> None:
    """Answer requests until stdin ends.

    Args:
        work: answers one, given its header and where answers go.
    """
    requests, answers = _take_over_streams()
    _limit_resources()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, which then closes stdin
    threading.Thread(target=_end_with_owner, args=(requests.fileno(), os.getppid()), daemon=True).start()
    send(answers, {"kind": "ready"})
    while True:
        header, _ = receive(lambda count: _read_exactly(requests, count))
        send(answers, {"kind": "accepted"})
        _limit_memory(header["memory_bytes"], torch=header.get("job", {}).get("decoder") == TORCHCODEC)
        work(header, answers)


def _take_over_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for messages alone: what a library prints goes to stderr, what it reads is empty."""
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return os.fdopen(requests, "rb", buffering=0), os.fdopen(answers, "wb")


def _limit_resources() -> None:
    """Bound what a hostile file can take; no limit that is already lower is raised."""
    # stderr is a file of the owner's: neither it nor a core may fill a disk.
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, STDERR_BYTES)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _read_exactly(stream: BinaryIO, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = stream.read(count - len(data))
        if not more:
            sys.exit(0)  # the owner closed the pipe: the end of work
        data += more
    return data


def _end_with_owner(requests: int, owner: int) -> None:
    """End the process even while native code decodes, which leaves other threads free to run."""
    poll = select.poll()
    poll.register(requests, 0)  # a hang-up is always reported
    while not poll.poll(1000) and os.getppid() == owner:
        pass
    os._exit(0)


def limit_cpu(cpu_s: float) -> None:
    """End this process (SIGXCPU) after so many seconds more, counted over all threads; the kernel counts whole ones."""
    _limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + cpu_s))


def _limit_memory(memory_bytes: int, *, torch: bool) -> None:
    _limit(resource.RLIMIT_AS, memory_bytes + (_TORCH_ADDRESSES if torch else _SPARE_ADDRESSES))
    _limit(resource.RLIMIT_DATA, memory_bytes + (_TORCH_DATA if torch else _SPARE_DATA))


def _parts(job: Job, answers: BinaryIO, cpu_s: float) -> Iterator[DecodedClip | Facts]:
    def announce(name: str) -> None:
        send(answers, {"kind": "decoder", "decoder": name})

    def alive() -> None:
        limit_cpu(cpu_s)
        send(answers, {"kind": "alive"})

    limit_cpu(cpu_s)
    return decode_clips(job, announce, alive)


def _answer(job: Job, answers: BinaryIO, cpu_s: float) -> None:
    try:
        for part in _parts(job, answers, cpu_s):
            if isinstance(part, DecodedClip):
                _send_clip(answers, part)
            else:
                send(answers, {"kind": "done", "facts": dataclasses.asdict(part), "rss_bytes": rss_bytes()})
    except BadVideoError as error:
        cut = {"clips": error.clips, "edges": error.edges} if isinstance(error, TooManyClipsError) else {}
        _send_bad(answers, error.reason, error.detail, **cut)
    except MemoryError:
        _send_bad(answers, "memory", "an allocation failed: decoding needs more memory than a decoder may use")
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:  # noqa: BLE001  (a file must not end the process by an error nobody thought of)
        _send_bad(answers, "decode_error", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _send_clip(answers: BinaryIO, clip: DecodedClip) -> None:
    header: dict[str, Any] = {"kind": "clip", "start_s": clip.start_s, "end_s": clip.end_s}
    header |= {"frame_times_s": clip.frame_times_s, "shape": clip.frames_NHWC.shape}
    send(answers, header, clip.frames_NHWC.tobytes())


def _send_bad(answers: BinaryIO, reason: str, detail: str, **more: Any) -> None:
    send(answers, {"kind": "bad", "reason": reason, "detail": detail, "rss_bytes": rss_bytes()} | more)


def rss_bytes() -> int:
    """Memory that this process holds now; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main()
