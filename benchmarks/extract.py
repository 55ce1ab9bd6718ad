"""Clips a second of an extraction, beside what its two halves allow and beside a plain Ray Data script, in one run.

    python -m benchmarks.extract

A hundred clips of five codecs (benchmarks/extract_clips.py). Decoding and encoding share the cores, so what they allow
is 1 / (1 / decode + 1 / encode), where each is the pace of all cores at that alone: cores / (CPU seconds to decode and
to encode a clip). The baseline is benchmarks/plain_ray_data.py. Of both scripts two times are told: of the whole
command, and from the first call of a stage, when all first actors are up, to the last write; so start-up counts in
both or in neither. The paces count clips that were delivered. Turns alternate; the best of each is told.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import ray

from benchmarks.extract_ceilings import ceiling
from benchmarks.extract_clips import make_clips
from benchmarks.report import ROOT, tell

_B32 = {
    "clip": {
        "embed_dim": 512,
        "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12},
    },
    "num_frames": 12,
    "temporal_layers": 4,
    "preprocess": {"image_size": 224},
    "seed": 0,
}
_TINY = "reelsift-tiny"
_HEAD = (
    "model", "allowed", "ours", "ours / allowed", "plain", "ours / plain", "plain, two actors", "ours / that",
    "with start-up: ours", "plain", "ours / plain", "decode alone", "encode alone",
)  # fmt: skip


@dataclass(frozen=True)
class Pace:
    """Clips a second of one turn of a script."""

    work: float
    whole: float
    clips: int

    def best(self, other: "Pace | None") -> "Pace":
        """The higher paces of both."""
        return self if other is None else Pace(max(self.work, other.work), max(self.whole, other.whole), self.clips)


def run(argv: list[str]) -> Pace:
    """Run a script that prints {"clips", "work_s"} last."""
    # Ray Data then begins when the first actors are up, in both scripts.
    env = os.environ | {"RAY_DATA_DEFAULT_WAIT_FOR_MIN_ACTORS_S": "600"}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *argv], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, timeout=3600, check=True
    )
    spent_s = time.monotonic() - start
    found = json.loads(done.stdout.splitlines()[-1])
    return Pace(found["clips"] / found["work_s"], found["clips"] / spent_s, found["clips"])


def scripts(clips: Path, model: str, scratch: Path) -> dict[str, list[str]]:
    """The three that are compared; none reads what another wrote."""
    folder = str(ROOT / "models" / "bundles" / model) if model == _TINY else model
    plain = ["benchmarks.plain_ray_data", "--input", str(clips), "--model", folder]
    return {
        "ours": ["benchmarks.extract_run", "--input", str(clips), "--model", model, "--tables", str(scratch / "ours")],
        "plain": [*plain, "--out", str(scratch / "plain")],
        # The same with a share of a CPU each, which its author must know to choose: Ray Data hangs without a word when
        # actors take all CPUs.
        "plain2": [*plain, "--out", str(scratch / "plain2"), "--actors", "2", "--cpus", "0.75"],
    }


def measure(clips: Path, model: str, rounds: int) -> tuple[list[str], str]:
    """A row of the table, and a note."""
    paths = sorted(str(path) for path in clips.iterdir())
    best: dict[str, Pace] = {}
    decode = encode = 0.0
    for _ in range(rounds):
        decode = max(decode, ceiling("decode", model, paths))
        encode = max(encode, ceiling("encode", model, paths))
        with tempfile.TemporaryDirectory(prefix="reelsift-") as scratch:
            for name, argv in scripts(clips, model, Path(scratch)).items():
                best[name] = run(argv).best(best.get(name))
                print(f"{model}: {name} {best[name]}, load {os.getloadavg()[0]:.1f}", flush=True)
    allowed = 1 / (1 / decode + 1 / encode)
    ours, plain, plain2 = best["ours"], best["plain"], best["plain2"]
    title = model if model == _TINY else "ViT-B/32, random weights"
    row = [
        title,
        f"{allowed:.2f}",
        f"{ours.work:.2f}",
        f"**{ours.work / allowed:.2f}**",
        f"{plain.work:.2f}",
        f"**{ours.work / plain.work:.2f}**",
        f"{plain2.work:.2f}",
        f"{ours.work / plain2.work:.2f}",
        f"{ours.whole:.2f}",
        f"{plain.whole:.2f}",
        f"{ours.whole / plain.whole:.2f}",
        f"{decode:.2f}",
        f"{encode:.2f}",
    ]
    return row, f"{title}: of {len(paths)} clips ours delivers {ours.clips}, the plain script {plain.clips}"


def main() -> None:
    """Measure, tell, and keep with --keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=("b32", "tiny"), help="one model alone")
    parser.add_argument("--folder", type=Path, help="where the clips are kept for the next run")
    parser.add_argument("--keep", action="store_true", help="enter the figures into BENCHMARKS.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelsift-") as scratch:
        clips = args.folder or Path(scratch) / "clips"
        make_clips(clips, args.clips)
        b32 = Path(scratch) / "ViT-B-32-random"
        b32.mkdir()
        (b32 / "config.json").write_text(json.dumps(_B32))
        models = {"b32": str(b32), "tiny": _TINY}
        found = [measure(clips, models[name], args.rounds) for name in models if args.only in (None, name)]
    tell(
        f"Extraction of {args.clips} clips of five codecs: clips a second",
        f"python -m benchmarks.extract --clips {args.clips} --rounds {args.rounds}",
        [list(_HEAD), *(row for row, _ in found)],
        [
            "allowed: 1 / (1 / decode alone + 1 / encode alone), each with all cores at that alone; plain: decord and "
            "open_clip in one map_batches, one actor of one CPU; two actors: the same, each with 0.75 of a CPU",
            "paces count delivered clips, from the first call of a stage to the last write; with start-up: from the "
            f"start of the command to its end, imports and Ray {ray.__version__} included",
            *(note for _, note in found),
        ],
        keep=args.keep,
    )


if __name__ == "__main__":
    main()
