"""All codecs on generated clips with captions: bytes a clip, and what they find against fp32.

Makes the clips, extracts them and compares, all anew; --tables and --data take what is there already. `bytes at B/32`
is the record of the same codec for a ViT-B/32 (12 frames, 49 patches, 512 channels).
"""

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import tell
from pipeline.evaluation.codec_figures import compare_codecs
from pipeline.extraction import extract
from pipeline.index.codecs.names import codec_of
from pipeline.synthetic.dataset import make_dataset
from schemas.config import DEFAULT_MODEL, ExtractConfig
from schemas.data_config import DataConfig
from schemas.index_config import CodecsConfig
from schemas.tables import TokenShape

B32 = TokenShape(frames=12, patches=49, dim=512)
CODECS = ("fp32", "fp16", "int8", "1bit", "pooled-64", "pooled-32", "pooled-23", "pooled-12", "pooled-8", "frames")


@contextlib.contextmanager
def clips(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Tables and captions: those that were given, or new ones in a folder that goes again."""
    if args.tables and args.data:
        yield args.tables, args.data
        return
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        data, tables = str(Path(folder) / "data"), str(Path(folder) / "tables")
        made = {"out": data, "videos": args.videos, "seed": args.seed, "val_fraction": 0.0, "test_fraction": 1.0}
        make_dataset(DataConfig.of(made))
        extract(ExtractConfig.of({"input": [f"{data}/videos"], "tables": tables, "model": args.model}))
        yield tables, data


def main() -> None:
    """Measure, tell, and keep with --keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=1000, help="generated clips, three captions each")
    parser.add_argument("--seed", type=int, default=424242)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--tables", help="take these tables")
    parser.add_argument("--data", help="with the captions of this folder")
    parser.add_argument("--codecs", nargs="+", default=CODECS)
    parser.add_argument("--keep", action="store_true", help="enter the result into BENCHMARKS.md")
    args = parser.parse_args()
    with clips(args) as (tables, data):
        settings = {"tables": tables, "data": data, "codecs": args.codecs, "clips": 100_000, "queries": 100_000}
        table = compare_codecs(CodecsConfig.of(settings), lambda line: print(f"bench: {line}", flush=True))
    full = codec_of("fp16").record_dtype(B32).itemsize
    rows = [["codec", "bytes a clip", "bytes at B/32", "R@1", "R@10", "rank corr.", "same first %", "ms for 50"]]
    for row in table.codecs:
        wide = codec_of(row.codec).record_dtype(B32).itemsize
        cells = [f"{row.bytes_per_clip:,}", f"{wide:,} ({wide / full:.1%} of fp16)"]
        cells += [f"{row.recall_at_1:.2f}", f"{row.recall_at_10:.2f}", f"{row.rank_correlation:.4f}"]
        rows.append([row.codec, *cells, f"{row.same_first:.1f}", f"{row.score_ms:.2f}"])
    count = table.queries.split(" of ")[0]
    tell(
        f"Codecs of fine tokens: {table.clips} generated clips, {count}, {table.model_id}",
        f"make bench ONLY=benchmarks/bench_codecs.py ARGS='--videos {table.clips} --seed {args.seed}'",
        rows,
        [
            f"stage 2 over {table.candidates} candidates that both ways of recall find; baseline and ceiling: fp32",
            "all codecs get the same queries; by chance alone an R@1 of other queries would differ by about a point",
            f"smallest within {table.max_loss:g} points of fp32's R@1: {table.choice}",
            "rank corr.: Spearman's with fp32 over a query's candidates; same first: queries with fp32's best clip",
            "pooled-N keeps N tokens of 192 patches here, of 588 at B/32: the same share is pooled-23 there, -8 here",
        ],
        keep=args.keep,
    )


if __name__ == "__main__":
    main()
