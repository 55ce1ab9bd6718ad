"""A worker that misbehaves as the name of the file says, and else decodes as the real one does."""

import contextlib
import ctypes
import itertools
import os
import struct
import sys
import time
from pathlib import Path

from pipeline.decode import video, worker
from pipeline.decode.protocol import send
from schemas.errors import BadVideoError

real_clips, real_answer, real_choice = worker.decode_clips, worker._answer, video.choose_decoder


def hang():
    time.sleep(600)


def spin():
    for _ in itertools.count():
        pass


def segfault():
    os.write(2, b"about to fall\n")
    ctypes.string_at(0)


def talk():
    sys.stdout.write("a library prints\n")
    sys.stdout.flush()
    os.write(1, b"and so does its native part\n")


def read():
    assert os.read(0, 100) == b""  # requests are not on this stdin


def noise():
    with contextlib.suppress(OSError):  # its file is full
        for _ in range(4096):
            os.write(2, b"x" * 1023 + b"\n")


def bug():
    raise KeyError("no such thing")


def hoard():
    held = []
    while sum(map(len, held)) < 256 << 20:
        held.append(b"x" * (16 << 20))
    hang()


LEFT = []


def leave_and_hoard():
    """Leave much behind for the next file; with what another left, it is too much."""
    LEFT.append(b"x" * (40 << 20))
    if len(LEFT) > 1:
        hoard()


BEFORE = {
    "hang": hang,
    "spin": spin,
    "hoard": hoard,
    "leak": leave_and_hoard,
    "segfault": segfault,
    "exit": lambda: os._exit(7),
    "print": talk,
    "read": read,
    "memory": lambda: bytearray(64 << 30),
    "noise": noise,
    "bug": bug,
}
IN_DECORD = {"hang_in_decord": hang, "segfault_in_decord": segfault}


def hostile_clips(job, announce, alive):
    deed = Path(job.path).stem
    BEFORE.get(deed, lambda: None)()
    if deed in IN_DECORD and not job.avoid:
        announce("decord")
        IN_DECORD[deed]()
    clips = real_clips(job, announce, alive)
    if deed == "clips_then_bad":
        yield next(clips)
        raise BadVideoError("decode_error", "half way")
    video.choose_decoder = (lambda *_: ("decord", "forced")) if deed == "force_decord" else real_choice
    yield from clips


def packed(header):
    return struct.pack("<I", len(header)) + header


CLIP = {"kind": "clip", "start_s": 0.0, "end_s": 1.0, "frame_times_s": [0.0], "shape": [1, 64, 64, 3]}
ANSWERS = {
    "half": struct.pack("<I", 500) + b'{"kind": "clip"',
    "garbage": b"\xff" * 1000,
    "nonsense": packed(b'{"kind": "done", "num_bytes": 0}'),
    "wrong_shape": packed(b'{"kind": "clip", "start_s": 0, "end_s": 1, "shape": [3, 3], "num_bytes": 4}') + b"1234",
    "huge": packed(b'{"kind": "clip", "num_bytes": 12345678901}'),
}


def hostile_answer(job, answers, cpu_s):
    deed = Path(job.path).stem
    if deed in ANSWERS:
        answers.write(ANSWERS[deed])
        answers.flush()
        hang()
    if deed == "half_clip":
        send(answers, CLIP, bytes(64 * 64 * 3))
        answers.write(struct.pack("<I", 500))
        answers.flush()
        hang()
    while deed == "drip":
        send(answers, {"kind": "decoder", "decoder": "pyav"})
        time.sleep(0.05)
    real_answer(job, answers, cpu_s)
    if deed == "die_idle":
        os._exit(0)


if __name__ == "__main__":
    worker.decode_clips, worker._answer = hostile_clips, hostile_answer
    worker.main()
