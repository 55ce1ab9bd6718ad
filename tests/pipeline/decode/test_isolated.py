import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.decode.isolated import IsolatedDecoder
from pipeline.sampling import uniform_indices
from schemas.errors import BadVideoError, ConfigError, ReelsiftError
from tests.barcode_video import read_number

HOSTILE = (sys.executable, str(Path(__file__).with_name("hostile_worker.py")))
GOOD = uniform_indices(60, 12)


def decode(decoder, path, rule="whole"):
    video = decoder.decode(str(path), rule, 12, 96, "bicubic")
    return [[read_number(frame) for frame in clip.frames_NHWC] for clip in video.clips], video


def refusal(decoder, path):
    with pytest.raises(BadVideoError) as caught:
        decode(decoder, path)
    return caught.value.reason, caught.value.detail


def zombies():
    """Ended children of this process that nobody has reaped."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) == os.getpid():
            found.append(status)
    return found


def gone(pid):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def decoder():
    with IsolatedDecoder(timeout_s=30) as decoder:
        yield decoder


@pytest.fixture(scope="module")
def hostile():
    with IsolatedDecoder(timeout_s=3, memory_bytes=160 << 20, command=HOSTILE) as decoder:
        decoder.start()
        yield decoder


def test_it_gives_what_the_worker_decodes(decoder, plain):
    found, video = decode(decoder, plain)
    assert found == [GOOD]
    assert (video.decoder, video.codec, video.width, video.height) == ("decord", "h264", 160, 120)
    assert video.clips[0].frame_times_s == pytest.approx([index / 25 for index in GOOD])


def test_many_clips_come_whole(decoder, plain):
    found, video = decode(decoder, plain, "fixed:0.1")
    assert [number for clip in found for number in clip] == list(range(60))
    assert len(video.clips) == 24


def test_one_child_serves_many_files(decoder, plain, make):
    decode(decoder, plain)
    before = decoder.pid
    for path in (make("vp9.webm", codec="libvpx-vp9"), make("mpeg4.avi", codec="mpeg4"), plain):
        decode(decoder, path)
    assert decoder.pid == before


def test_bad_files_cost_no_child(decoder, plain, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    decode(decoder, plain)
    before = decoder.pid
    names = ("pipe.mp4", "empty.mp4", "text.mp4", "gone.mp4", ".")
    found = [refusal(decoder, tmp_path / name)[0] for name in names]
    assert found == ["not_a_file", "empty", "not_a_video", "missing", "not_a_file"]
    assert decoder.pid == before


def test_a_relative_path_and_a_name_that_is_no_text(decoder, plain, tmp_path, monkeypatch):
    name = b"\xff\xfe.mp4".decode(errors="surrogateescape")
    shutil.copy(plain, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert decode(decoder, name)[0] == [GOOD]


def test_a_wrong_rule_is_the_callers_mistake(decoder, plain):
    with pytest.raises(ConfigError):
        decode(decoder, plain, "scene")
    assert decode(decoder, plain)[0] == [GOOD]


DEEDS = {
    "hang": ("timeout", "no answer within 3 s"),
    "half": ("timeout", "no answer within 3 s"),
    "half_clip": ("timeout", "no answer within 3 s"),
    "drip": ("timeout", "no answer within 3 s"),
    "segfault": ("crash", "signal 11 (SIGSEGV); about to fall"),
    "exit": ("crash", "exit code 7"),
    "garbage": ("crash", "it wrote what is no answer"),
    "nonsense": ("crash", "an answer that makes no sense"),
    "wrong_shape": ("crash", "an answer that makes no sense"),
    "huge": ("crash", "it wrote what is no answer"),
    "memory": ("memory", "an allocation failed"),
    "hoard": ("memory", "MiB held, above 160 MiB"),
    "spin": ("timeout", "no answer within 3 s"),
    "bug": ("decode_error", "KeyError: 'no such thing'"),
    "clips_then_bad": ("decode_error", "half way"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_a_misdeed_is_named_and_the_next_file_decodes(hostile, plain, tmp_path, deed):
    reason, start = DEEDS[deed]
    path = shutil.copy(plain, tmp_path / f"{deed}.mp4")
    found = refusal(hostile, path)
    assert found[0] == reason
    assert start in found[1]
    assert decode(hostile, plain)[0] == [GOOD]
    assert not zombies()


def test_a_file_that_burns_processor_time_is_ended_by_it(plain, tmp_path):
    path = shutil.copy(plain, tmp_path / "spin.mp4")
    with IsolatedDecoder(timeout_s=120, cpu_s=1, command=HOSTILE) as decoder:
        assert refusal(decoder, path) == ("cpu", "more than 1 s of processor time")
        assert decode(decoder, plain)[0] == [GOOD]


@pytest.mark.parametrize("deed", ["print", "read", "noise"])
def test_a_chatty_library_breaks_nothing(hostile, plain, tmp_path, deed):
    path = shutil.copy(plain, tmp_path / f"{deed}.mp4")
    assert decode(hostile, path)[0] == [GOOD]
    assert decode(hostile, plain)[0] == [GOOD]


def test_a_child_that_died_between_files_is_replaced(hostile, plain, tmp_path):
    path = shutil.copy(plain, tmp_path / "die_idle.mp4")
    assert decode(hostile, path)[0] == [GOOD]
    assert gone(hostile.pid)
    assert decode(hostile, plain)[0] == [GOOD]


def test_what_other_files_left_in_memory_is_not_held_against_a_file(plain, tmp_path):
    path = shutil.copy(plain, tmp_path / "leak.mp4")
    with IsolatedDecoder(timeout_s=30, memory_bytes=320 << 20, command=HOSTILE) as decoder:
        pids = [(decode(decoder, path)[0], decoder.pid) for _ in range(2)]
    assert [found for found, _ in pids] == [[GOOD]] * 2
    assert pids[0][1] != pids[1][1]


def test_a_file_that_hangs_decord_is_decoded_by_pyav(make, plain, tmp_path):
    # decord never returns from this one, in native code.
    stream = make("gop.ts", num_frames=300, fps=30, gop=250, codec_options={"preset": "medium"})
    path = shutil.copy(stream, tmp_path / "force_decord.ts")
    with IsolatedDecoder(timeout_s=8, command=HOSTILE) as decoder:
        found, video = decode(decoder, path)
        assert found == [[index % 256 for index in uniform_indices(300, 12)]]
        assert (video.decoder, video.decoder_why) == ("pyav", "decord: timeout, no answer within 8 s")
        assert decode(decoder, plain)[0] == [GOOD]


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        ("segfault_in_decord", "decord: crash, signal 11 (SIGSEGV); about to fall"),
        ("hang_in_decord", "decord: timeout, no answer within 12 s"),
    ],
)
def test_a_file_that_costs_decord_its_child_is_decoded_by_pyav(plain, tmp_path, deed, why):
    path = shutil.copy(plain, tmp_path / f"{deed}.mp4")
    with IsolatedDecoder(timeout_s=12, command=HOSTILE) as decoder:
        found, video = decode(decoder, path)
    assert found == [GOOD]
    assert video.decoder_why == why


def test_a_child_is_replaced_after_its_share_of_files(plain):
    with IsolatedDecoder(timeout_s=30, recycle_files=2) as decoder:
        pids = [(decode(decoder, plain), decoder.pid)[1] for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]
    assert gone(pids[0])
    assert gone(pids[2])


def test_a_child_that_has_grown_is_replaced(plain):
    with IsolatedDecoder(timeout_s=30, memory_bytes=100 << 20) as decoder:
        pids = [(decode(decoder, plain), decoder.pid)[1] for _ in range(2)]
    assert pids[0] != pids[1]


def test_any_thread_may_call_and_may_end(plain):
    found = []
    with IsolatedDecoder(timeout_s=30) as decoder:
        threads = [threading.Thread(target=lambda: found.append(decode(decoder, plain)[0])) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        before = decoder.pid
        assert decode(decoder, plain)[0] == [GOOD]
        assert decoder.pid == before  # the child outlives the thread that started it
    assert found == [[GOOD]] * 4


def test_closing_ends_the_child_and_may_be_repeated(plain):
    decoder = IsolatedDecoder(timeout_s=30)
    decoder.close()
    decode(decoder, plain)
    pid = decoder.pid
    decoder.close()
    decoder.close()
    assert gone(pid)
    assert decoder.pid is None
    assert decode(decoder, plain)[0] == [GOOD]
    decoder.close()
    assert not zombies()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("/no/such/program",), "cannot start a decoder process"),
        ((sys.executable, "-c", "raise SystemExit('no library')"), "does not start: no library"),
        ((sys.executable, "-c", "print('hello')"), "does not start"),
    ],
)
def test_a_machine_that_cannot_decode_is_no_fault_of_the_file(plain, command, message):
    with (
        IsolatedDecoder(timeout_s=5, command=command) as decoder,
        pytest.raises(ReelsiftError, match=message) as caught,
    ):
        decode(decoder, plain)
    assert not isinstance(caught.value, BadVideoError)


def test_the_child_ends_with_its_owner_even_while_it_hangs(plain, tmp_path):
    path = shutil.copy(plain, tmp_path / "hang.mp4")
    owner = (
        "import sys, threading, time\n"
        "from pipeline.decode.isolated import IsolatedDecoder\n"
        f"decoder = IsolatedDecoder(timeout_s=600, command={HOSTILE!r})\n"
        "decoder.start()\n"
        f"work = lambda: decoder.decode({str(path)!r}, 'whole', 12, 32, 'bicubic')\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "time.sleep(0.3)\n"
        "print(decoder.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        os.kill(pid, 0)  # it is there
        process.kill()
    assert gone(pid)


def test_an_owner_loads_no_decoder():
    code = "import sys, pipeline.decode.isolated; print(sorted({'av', 'decord', 'torch', 'ray'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
