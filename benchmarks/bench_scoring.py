"""Stage 2 on the CPU: scoring 50 candidates, beside the public formula in plain torch, and beside reading the bytes.

Clips have the sizes of a ViT-B/32 (12 raw and 12 temporal frames, 588 patches, 512 channels: 0.6 MB in fp16) and random
unit tokens. Each round takes another 50 of them through each way in turn, from memory and not from a cache.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.report import tell
from models.reranking import score_pairs
from models.stored_clips import StoredClips
from models.token_sets import Pairs
from pipeline.index.codecs.codec import ClipTokens
from pipeline.index.codecs.form import RecordBlock
from pipeline.index.codecs.names import codec_of
from schemas.scoring import Fusion, ScoringParams
from schemas.tables import TokenShape

SHAPE = TokenShape(frames=12, patches=49, dim=512)
CANDIDATES = 50
PARAMS = ScoringParams(fusion=Fusion(), frame_mix=tuple(map(tuple, np.eye(SHAPE.frames).tolist())))


@dataclass(frozen=True)
class Stored:
    """Records of one codec in memory, and what stage 2 sees of them."""

    block: RecordBlock
    clips: StoredClips


def random_tokens(clips: int, rng: np.random.Generator) -> ClipTokens:
    """Random unit tokens, float16, no padding."""
    f, p, d = SHAPE.frames, SHAPE.patches, SHAPE.dim

    def unit(count: int) -> np.ndarray:
        tokens = rng.standard_normal((clips, count, d), np.float32)
        return (tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)).astype(np.float16)

    return ClipTokens(unit(f), unit(f), unit(f * p), np.ones((clips, f), bool))


def store(name: str, clips: int, parts: int = 50) -> Stored:
    """So many clips in a codec's records."""
    codec, rng = codec_of(name), np.random.default_rng(0)
    dtype = codec.record_dtype(SHAPE)
    records = np.zeros(clips, dtype)
    for start in range(0, clips, parts):
        part = records[start : start + parts]
        codec.encode(random_tokens(len(part), rng), part, masked=True)
    block = RecordBlock(records.view(np.uint8).reshape(clips, dtype.itemsize), dtype)
    return Stored(block, codec.stored(block, SHAPE.dim))


def naive(text_D: Tensor, raw: Tensor, temporal: Tensor, patches: Tensor, coarse_B: Tensor) -> Tensor:
    """The public formula as it is written down: widen, multiply, softmax, sum."""
    frames_BFD, temporal_BFD, patches_BND = raw.float(), temporal.float(), patches.float()
    a_BF = frames_BFD @ text_D
    weak_frame = ((a_BF / 0.01).softmax(-1) * a_BF).sum(-1)
    gate_BF = (a_BF / 0.1).softmax(-1)
    strong_frame = normalize((gate_BF[..., None] * temporal_BFD).sum(1), dim=-1) @ text_D
    b_BN = patches_BND @ text_D
    weak_patch = ((b_BN / 0.01).softmax(-1) * b_BN).sum(-1)
    return 0.8 * weak_frame + 0.2 * strong_frame + 0.2 * weak_patch + 0.5 * coarse_B


def read_all(data_BX: np.ndarray, rows: np.ndarray, pool: ThreadPoolExecutor, threads: int) -> None:
    """Touch every byte of these records once, and do nothing else with them."""

    def read(part: np.ndarray) -> int:
        return sum(int(data_BX[row].view(np.int64).max()) for row in part)

    list(pool.map(read, np.array_split(rows, threads)))


def timed_ms(work: Callable[[], object]) -> float:
    """Wall milliseconds of one call."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def measure(stored: Stored, threads: int, rounds: int, *, with_naive: bool) -> tuple[dict[str, list[float]], int]:
    """Milliseconds of each way in each round, and in how many rounds the ten best were the same clips in order."""
    rng = np.random.default_rng(1)
    torch.set_num_threads(threads)
    found: dict[str, list[float]] = {"ours": [], "read": [], "naive": []}
    same = 0
    block, clips = stored.block, stored.clips
    with ThreadPoolExecutor(threads) as pool:
        for number in range(rounds + 1):
            rows = rng.choice(len(block), CANDIDATES, replace=False)
            text = rng.standard_normal(SHAPE.dim).astype(np.float32)
            text /= np.linalg.norm(text)
            coarse = rng.uniform(0.1, 0.2, CANDIDATES).astype(np.float32)
            pairs = Pairs(text[None], np.zeros(CANDIDATES, np.int64), rows)
            results: list[np.ndarray] = []
            ways: dict[str, Callable[[], object]] = {
                "ours": lambda p=pairs, c=coarse, r=results: r.append(score_pairs(p, clips, c, PARAMS, threads)[0]),
                "read": lambda rows=rows: read_all(block.data_BX, rows, pool, threads),
            }
            if with_naive:
                parts = [torch.from_numpy(block.values(name)[rows]) for name in ("frames", "temporal", "patches")]
                inputs = (torch.from_numpy(text), *parts, torch.from_numpy(coarse))
                ways["naive"] = lambda i=inputs, r=results: r.append(naive(*i).numpy())
            for name in rng.permutation(list(ways)):
                spent = timed_ms(ways[name])
                # The first round warms up: compilation, threads, pages.
                if number:
                    found[name].append(spent)
            orders = [np.argsort(-score, kind="stable")[:10].tolist() for score in results]
            same += number > 0 and orders[0] == orders[-1]
    return found, same


def _row(name: str, threads: int, found: dict[str, list[float]], same: str) -> list[str]:
    ours, read, naive_ms = (np.array(found[way]) for way in ("ours", "read", "naive"))
    cells = [f"{np.median(x):.2f} ({x.min():.2f}-{x.max():.2f})" if len(x) else "" for x in (ours, read, naive_ms)]
    over = [f"{np.median(ours / read):.2f} ({ours.min() / read.min():.2f})"]
    over.append(f"{np.median(naive_ms / ours):.1f} ({naive_ms.min() / ours.min():.1f})" if len(naive_ms) else "")
    return [name, str(threads), *cells, *over, same]


def main() -> None:
    """Measure the codecs with one and more threads, tell, and keep with --keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=600, help="clips in memory, of which each round takes 50")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--codecs", nargs="+", default=["fp16", "fp32", "int8", "1bit", "pooled-23", "frames"])
    parser.add_argument("--keep", action="store_true", help="enter the result into BENCHMARKS.md")
    args = parser.parse_args()
    rows = [["codec", "threads", "ours ms", "reading ms", "naive torch ms", "ours / reading", "naive / ours", "top 10"]]
    for name in args.codecs:
        stored = store(name, args.clips)
        for threads in args.threads:
            plain = name in ("fp16", "fp32")
            found, same = measure(stored, threads, args.rounds, with_naive=plain)
            rows.append(_row(name, threads, found, f"{same}/{args.rounds} the same" if plain else ""))
    tell(
        f"Scoring {CANDIDATES} candidates, ViT-B/32 sizes, {args.clips} clips in memory",
        f"make bench ONLY=benchmarks/bench_scoring.py ARGS='--clips {args.clips} --rounds {args.rounds}'",
        rows,
        [
            "median (least-greatest) over the rounds; ratios: median of each round's own (ratio of the least times)",
            "reading: the greatest int64 of the same records, by numpy, on as many threads: every byte is read once",
            "naive: the public formula in torch in float32, given copies of the tokens that are in the cache already",
        ],
        keep=args.keep,
    )


if __name__ == "__main__":
    main()
