"""Reading the fine tokens of 50 random clips: our shards beside Parquet, and beside copying the same bytes.

Clips have the sizes of a ViT-B/32 (12 frames, 49 patches, 512 channels: 0.6 MB in fp16). Each round reads another 50
clips through each way in turn, so that a disturbance meets all of them; the middle of all rounds counts.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import tell
from pipeline.index.fine_layout import record_dtype
from pipeline.index.fine_store import FineStore
from pipeline.index.fine_writer import FineWriter
from pipeline.storage import Store
from schemas.manifest import VersionManifest
from schemas.tables import TokenShape, clips_schema

SHAPE = TokenShape(frames=12, patches=49, dim=512)
READ = 50
_TOKENS = ("frames", "temporal_frames", "patches")


def clips_table(first: int, count: int, rng: np.random.Generator) -> pa.Table:
    """Rows of TABLES/clips with random tokens."""
    schema = clips_schema(SHAPE, "bench")
    sizes = {name: schema.field(name).type.byte_width for name in _TOKENS}
    rows = [
        {
            "clip_id": f"c{first + i:020d}", "video_id": "v", "uri": "u", "start_s": 0.0, "end_s": 1.0, "fps": 1.0,
            "width": 1, "height": 1, "frame_times_s": [0.0] * SHAPE.frames, "mask": [1] * SHAPE.frames,
            "coarse": [0.0] * SHAPE.dim, "metadata": "{}", "model_id": "bench",
        }
        | {name: rng.integers(0, 60, size, np.uint8).tobytes() for name, size in sizes.items()}
        for i in range(count)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=schema)


def write_stores(folder: Path, clips: int) -> tuple[FineStore, list[tuple[int, int]], pq.ParquetFile]:
    """The same clips as our shards and as Parquet with a row group a clip (its quickest form for single clips)."""
    rng = np.random.default_rng(0)
    version = folder / "version"
    writer = FineWriter(version / "fine", SHAPE, "fp16", 256 << 20)
    addresses: list[tuple[int, int]] = []
    schema = pa.schema([clips_schema(SHAPE, "bench").field(name) for name in _TOKENS])
    with pq.ParquetWriter(folder / "clips.parquet", schema, compression="none", use_dictionary=False) as parquet:
        for first in range(0, clips, 64):
            table = clips_table(first, min(64, clips - first), rng)
            addresses += writer.append(table)
            parquet.write_table(table.select(_TOKENS), row_group_size=1)
    manifest = VersionManifest.model_construct(token_shape=SHAPE, codec="fp16", shards=writer.close(), version=1)
    return (
        FineStore(Store(str(version)), manifest),
        addresses,
        pq.ParquetFile(folder / "clips.parquet", memory_map=False),
    )


def drop_cache(folder: Path) -> None:
    """Ask the kernel to forget the files' pages."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed_ms(work: Callable[[], object]) -> float:
    """Wall milliseconds of one call."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def measure(folder: Path, clips: int, rounds: int, *, cold: bool) -> dict[str, list[float]]:
    """Milliseconds of each way in each round."""
    store, addresses, parquet = write_stores(folder, clips)
    rng = np.random.default_rng(1)
    block = np.empty((READ, record_dtype(SHAPE, "fp16").itemsize), np.uint8)
    found: dict[str, list[float]] = {"ours": [], "parquet": [], "copy": []}
    for _ in range(rounds):
        rows = rng.choice(clips, READ, replace=False).tolist()
        ways: dict[str, Callable[[], object]] = {
            "ours": lambda rows=rows: store.read([addresses[row] for row in rows]),
            "parquet": lambda rows=rows: parquet.read_row_groups(rows),
            "copy": block.copy,
        }
        for name, work in ways.items():
            if cold:
                drop_cache(folder)
            found[name].append(timed_ms(work))
    store.close()
    return found


def main() -> None:
    """Measure warm and cold, tell, and keep with --keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1000, help="clips in each store")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--keep", action="store_true", help="enter the result into BENCHMARKS.md")
    args = parser.parse_args()
    rows = [["pages", "ours ms", "Parquet ms", "copy ms", "ours / Parquet", "ours / copy"]]
    for cold in (False, True):
        with tempfile.TemporaryDirectory(prefix="bench") as folder:
            found = measure(Path(folder), args.clips, args.rounds, cold=cold)
        ours, parquet, copy = (np.array(found[name]) for name in ("ours", "parquet", "copy"))
        cells = [f"{np.median(x):.2f} ({x.min():.2f}-{x.max():.2f})" for x in (ours, parquet, copy)]
        ratios = [f"{np.median(ours / x):.2f}" for x in (parquet, copy)]
        rows.append(["cold" if cold else "warm", *cells, *ratios])
    tell(
        f"Fine tokens of {READ} random clips of {args.clips}, ViT-B/32 sizes, fp16",
        f"make bench ONLY=benchmarks/bench_fine_store.py ARGS='--clips {args.clips} --rounds {args.rounds}'",
        rows,
        [
            "median (least-greatest) over the rounds; ratios are the median of each round's own ratio",
            "baseline: Parquet with a row group a clip, uncompressed, read_row_groups; ceiling: copying the same bytes",
            "cold: posix_fadvise DONTNEED before each read; the host below a virtual machine may still cache",
        ],
        keep=args.keep,
    )


if __name__ == "__main__":
    main()
