"""Does `reelsift extract` stay within its memory budget, with 4K videos among many small ones?

    python -m benchmarks.extract_memory --files 200 --large 10 --budget-gb 3

The videos are seeded noise, made with PyAV: no codec makes that small, so every decoder must work. Memory is the sum
of the proportional set sizes of the command and all that descends from it, Ray's own processes and its object store
included, sampled from outside about twice a second.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import psutil

from benchmarks.report import ROOT, tell
from pipeline.observe import resident_bytes

_GIB = 1 << 30
_EVERY_S = 0.5
_SMALL, _LARGE = (320, 180), (3840, 2160)
_LENGTHS = {_SMALL: 48, _LARGE: 24}


def write_noise(path: Path, size: tuple[int, int], seed: int) -> None:
    """A video whose frames are a moving cut out of one noisy picture."""
    width, height = size
    noise = np.random.default_rng(seed).integers(0, 255, (height // 4 + 64, width // 4 + 64, 3), np.uint8)
    noise = noise.repeat(4, 0).repeat(4, 1)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=24, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(_LENGTHS[size]):
            at = 4 * (number % 32)
            picture = np.ascontiguousarray(noise[at : at + height, at : at + width])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))


def make_videos(folder: Path, files: int, large: int) -> None:
    """`files` videos, of which `large` are 4K, spread evenly."""
    step = max(1, files // max(1, large))
    for number in range(files):
        is_large = number % step == step // 2 and number // step < large
        name = f"{number:04d}{'-4k' if is_large else ''}.mp4"
        write_noise(folder / name, _LARGE if is_large else _SMALL, number)


def watch(argv: list[str]) -> tuple[int, dict[str, int], dict[str, object], float]:
    """Run a command: its summed peak, the parts of it by kind of process, its JSON line, and seconds."""
    start, peak, parts = time.monotonic(), 0, dict[str, int]()
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        me = psutil.Process(process.pid)
        while process.poll() is None:
            found = _family(me)
            if sum(found.values()) > peak:
                peak, parts = sum(found.values()), found
            time.sleep(_EVERY_S)
        out = process.stdout.read() if process.stdout else ""
    if process.returncode not in (0, 3):
        raise SystemExit(f"the command failed with exit code {process.returncode}")
    return peak, parts, json.loads(out.splitlines()[-1]), time.monotonic() - start


def _family(me: psutil.Process) -> dict[str, int]:
    found: dict[str, int] = {}
    try:
        for process in (me, *me.children(recursive=True)):
            kind = _kind(" ".join(process.cmdline()) or process.name())
            found[kind] = found.get(kind, 0) + resident_bytes(process)
    except psutil.Error:
        pass  # one ended while we looked
    return found


def _kind(words: str) -> str:
    names = {
        "jobs.extract": "driver",
        "DecodeStage": "decoding actors",
        "pipeline.decode.worker": "decoders' children",
        "EncodeStage": "encoding actors",
        "CommitStage": "writers",
    }
    return next((kind for mark, kind in names.items() if mark in words), "Ray itself")


def main() -> None:
    """Make the videos, extract them, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--large", type=int, default=10)
    parser.add_argument("--budget-gb", type=float, default=3.0)
    parser.add_argument("--clips", default="whole")
    parser.add_argument("--keep", action="store_true", help="enter the figures into BENCHMARKS.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelsift-") as scratch:
        videos = Path(scratch) / "videos"
        videos.mkdir()
        make_videos(videos, args.files, args.large)
        argv = [sys.executable, "-m", "jobs.extract", "--input", str(videos), "--tables", f"{scratch}/tables", "--json"]
        argv += ["--clips", args.clips, "--set", f"memory_budget_gb={args.budget_gb}"]
        peak, parts, summary, seconds = watch(argv)
    rows = [("part, when the sum was greatest", "MiB")]
    rows += [(kind, f"{size >> 20:,}") for kind, size in sorted(parts.items(), key=lambda item: -item[1])]
    rows += [("**sum**", f"**{peak >> 20:,}**"), ("budget", f"{int(args.budget_gb * 1024):,}")]
    tell(
        f"Memory of an extraction with a budget of {args.budget_gb:g} GiB: {peak / _GIB:.2f} GiB",
        f"python -m benchmarks.extract_memory --files {args.files} --large {args.large} --budget-gb {args.budget_gb:g}",
        rows,
        [
            f"{args.files} videos, {args.large} of them 3840 x 2160, model reelsift-tiny: {summary['done']} done, "
            f"{summary['quarantined']} quarantined {summary['reasons'] or ''}, in {seconds:.0f} s",
            "proportional set sizes of all processes of the command, Ray's and its object store included, "
            "sampled twice a second",
        ],
        keep=args.keep,
    )
    if peak > args.budget_gb * _GIB:
        raise SystemExit("the run took more than its budget")


if __name__ == "__main__":
    main()
