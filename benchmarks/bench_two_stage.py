"""Two stages against the exhaustive search over 10,000 clips: the ratio of measured seconds beside that of the MACs.

Tokens are drawn at random in the sizes of a ViT-B/32 (12 frames, 49 patches, 512 channels: 0.6 MB a clip in float16, so
10,000 clips need 6.5 GB of memory); 256 different clips are repeated, each time in memory of its own. Both ways run the
service's scoring code on the same threads over the same tokens, one query after the other, each in every way before the
next. The ceiling of an exhaustive search is the memory: copying all tokens once.
"""

import argparse
import statistics
import time

import numpy as np
import psutil
import torch
from torch.nn.functional import normalize

from benchmarks.report import tell
from models.stored_clips import StoredClips
from pipeline.evaluation.gallery import ClipFile, ClipGallery
from pipeline.evaluation.measure import measured_cost, paper_rows
from pipeline.evaluation.stages import TwoStages
from schemas.evaluation import Cost
from schemas.recall import RECALL_MODES
from schemas.scoring import Fusion, ScoringParams
from schemas.tables import TokenShape

SHAPE = TokenShape(frames=12, patches=49, dim=512)
_DRAWN, _COPIED_AT_ONCE = 256, 64


def clip_bytes() -> int:
    """Bytes of a clip: fine tokens in float16; the coarse vector and the frames of recall in float32."""
    f, p, d = SHAPE.frames, SHAPE.patches, SHAPE.dim
    return 2 * (2 * f + f * p) * d + 4 * (1 + f) * d


def random_stages(clips: int, seed: int) -> TwoStages:
    """A gallery of random unit tokens in memory, with G and A as they are before training."""
    draw = torch.Generator().manual_seed(seed)
    f, p, d = SHAPE.frames, SHAPE.patches, SHAPE.dim
    sizes = {"frames_BFD": (clips, f, d), "temporal_BFD": (clips, f, d), "patches_BND": (clips, f * p, d)}
    tokens = {name: torch.empty(size, dtype=torch.float16) for name, size in sizes.items()}
    for into in tokens.values():
        drawn = normalize(torch.randn(_DRAWN, *into.shape[1:], generator=draw), dim=-1).half()
        for start in range(0, clips, _DRAWN):
            part = into[start : start + _DRAWN]
            part[:] = drawn[: len(part)]
    gallery = ClipGallery(
        clips=(ClipFile("", "", "", ()),) * clips,
        coarse_BD=normalize(tokens["temporal_BFD"].float().sum(1), dim=-1),
        mask_BF=torch.ones(clips, f, dtype=torch.uint8),
        **tokens,
    )
    scoring = ScoringParams(fusion=Fusion(), frame_mix=tuple(map(tuple, np.eye(f).tolist())))
    stored = StoredClips.of(gallery.tokens(slice(None)))
    return TwoStages(gallery, torch.eye(d), scoring, gallery.frames_BFD.float(), stored)


def copy_s(stages: TwoStages) -> float:
    """Wall seconds of copying all fine tokens once, block by block."""
    gallery = stages.gallery
    sets = (gallery.frames_BFD, gallery.temporal_BFD, gallery.patches_BND)
    into = [torch.zeros_like(tokens[:_COPIED_AT_ONCE]) for tokens in sets]
    start = time.perf_counter()
    for block in gallery.blocks(_COPIED_AT_ONCE):
        for tokens, copy in zip(sets, into, strict=True):
            copy[: block.stop - block.start].copy_(tokens[block])
    return time.perf_counter() - start


def spread(values: list[float], digits: int) -> str:
    """Median (least-greatest)."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def rows_of(rounds: list[Cost]) -> list[list[str]]:
    """The table: a row a way, the median (least-greatest) over the rounds."""

    def row(way: str, key: str, mode: str) -> list[str]:
        ratios = [
            f"{rounds[0].macs_ratio[mode]:.1f}",
            spread([cost.seconds_ratio[mode] for cost in rounds], 1),
            spread([cost.cpu_ratio[mode] for cost in rounds], 1),
        ]
        milliseconds = spread([1000 * cost.seconds[key] for cost in rounds], 2)
        return [way, f"{rounds[0].macs[key] / 1e6:.2f}", milliseconds, *ratios]

    table = [["a query", "MACs, million", "measured ms", "exhaustive / it: MACs", "wall seconds", "CPU seconds"]]
    table += [row(f"two-stage, recall: {mode}", f"two_stage_{mode}", mode) for mode in RECALL_MODES]
    exhaustive = spread([1000 * cost.seconds["exhaustive"] for cost in rounds], 2)
    return [*table, ["exhaustive fine", f"{rounds[0].macs['exhaustive'] / 1e6:.2f}", exhaustive, "1", "1", "1"]]


def main() -> None:
    """Measure, tell, and keep with --keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000, help="N, at least 50")
    parser.add_argument("--k", type=int, default=50, help="candidates of stage 2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--queries", type=int, default=3, help="in each round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="enter the result into BENCHMARKS.md")
    args = parser.parse_args()
    needed, free = args.clips * clip_bytes() * 1.1, psutil.virtual_memory().available
    if needed > free:
        parser.error(
            f"{args.clips} clips need {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} are free: fewer --clips"
        )
    torch.set_num_threads(args.threads)
    stages = random_stages(args.clips, seed=0)
    text_TD = normalize(
        torch.randn(args.rounds * args.queries, SHAPE.dim, generator=torch.Generator().manual_seed(1)), dim=-1
    )
    rounds, copies = [], []
    for part_TD in text_TD.split(args.queries):
        rounds.append(measured_cost(stages, part_TD, "both", args.k))
        copies.append(1000 * copy_s(stages))
    parts = {name: 1000 * statistics.median(cost.seconds[name] for cost in rounds) for name in rounds[0].seconds}
    recalls = ", ".join(f"{mode} {parts[f'recall_{mode}']:.2f} ms" for mode in RECALL_MODES)
    paper = ", ".join(f"{row.ratio:.1f} ({row.name})" for row in paper_rows())
    tell(
        f"Two stages (k = {args.k}) against the exhaustive search over {args.clips:,} clips, ViT-B/32 sizes, fp16",
        f"make bench ONLY=benchmarks/bench_two_stage.py ARGS='--clips {args.clips} --k {args.k} "
        f"--rounds {args.rounds} --queries {args.queries} --threads {args.threads}'",
        rows_of(rounds),
        [
            f"median (least-greatest) of {args.rounds} rounds of {args.queries} queries, {args.threads} thread(s) in "
            "every way; baseline: the exhaustive search; its ceiling, copying all tokens once: "
            f"{spread(copies, 0)} ms",
            f"of the two stages, recall took {recalls}, all vectors compared, and the rerank {parts['rerank']:.2f} ms",
            f"MACs as the paper counts, a pair: {rounds[0].paper_macs['two_stage']:.0f} in two stages, "
            f"{rounds[0].paper_macs['exhaustive']:.0f} exhaustively: "
            f"{rounds[0].paper_macs['exhaustive'] / rounds[0].paper_macs['two_stage']:.1f} times",
            f"the paper's own table, token-wise interaction over two stages, from its formulas: {paper}",
        ],
        keep=args.keep,
    )


if __name__ == "__main__":
    main()
