"""Reading the records of 50 random clips: our shards beside Parquet, Lance and LMDB, and beside copying the same bytes.

Records have the sizes of a ViT-B/32: small ones of codec `pooled-23` (24 KiB) and large ones of `fp16` (0.6 MB). All
stores hold the same random bytes. Each round reads another 50 clips through each way in turn, so that a disturbance
meets all of them; the middle of all rounds counts. Before warm rounds every store is read once as a whole. For a cold
round all stores are closed, the kernel is asked to forget their files, and they are opened again, which is not timed:
what a store keeps in memory once it is open is its own.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import tell
from pipeline.index.fine_layout import HEADER_BYTES, header, record_dtype
from pipeline.index.fine_store import FineStore, Tier
from pipeline.index.positioned_reads import aligned_rows
from pipeline.storage import Store
from schemas.manifest import FINE_DIR, FineShard, VersionManifest
from schemas.tables import TokenShape

try:
    import lance
    import lmdb
except ImportError as error:
    raise SystemExit(f"{error.name} is missing: 'make bench' installs the baselines (group bench)") from None

SHAPE = TokenShape(frames=12, patches=49, dim=512)
READ = 50
_CHUNK = 64
_SHARD_BYTES = 256 << 20
_BASELINES = ("Parquet", "Lance", "LMDB")
Read = Callable[[Sequence[int]], np.ndarray]


def record_chunks(codec: str, clips: int) -> Iterator[np.ndarray]:
    """Random records with their clip_ids, some at a time."""
    dtype = record_dtype(SHAPE, codec)
    rng = np.random.default_rng(0)
    for first in range(0, clips, _CHUNK):
        count = min(_CHUNK, clips - first)
        records = np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).copy()
        records["clip_id"] = [f"c{first + i:020d}".encode() for i in range(count)]
        yield records


def write_ours(folder: Path, codec: str, clips: int) -> VersionManifest:
    """Shards of a version."""
    size = record_dtype(SHAPE, codec).itemsize
    a_shard = (_SHARD_BYTES - HEADER_BYTES) // size // _CHUNK * _CHUNK
    (folder / FINE_DIR).mkdir(parents=True)
    shards: list[FineShard] = []
    for first, records in zip(range(0, clips, _CHUNK), record_chunks(codec, clips), strict=True):
        name = f"shard-{first // a_shard:05d}.bin"
        with (folder / FINE_DIR / name).open("ab") as file:
            if first % a_shard == 0:
                file.write(header(SHAPE, codec, len(shards)))
                rows = min(a_shard, clips - first)
                shards.append(FineShard(name=name, clips=rows, size_bytes=HEADER_BYTES + rows * size, sha256=""))
            file.write(records.tobytes())
    return VersionManifest.model_construct(token_shape=SHAPE, codec=codec, shards=shards, version=1)


def record_tables(codec: str, clips: int) -> Iterator[pa.Table]:
    """The same records as Arrow tables of one binary column."""
    kind = pa.binary(record_dtype(SHAPE, codec).itemsize)
    for records in record_chunks(codec, clips):
        yield pa.table({"record": pa.array([record.tobytes() for record in records], kind)})


def write_parquet(path: Path, codec: str, clips: int) -> None:
    """A row group a clip: Parquet's quickest form for single clips, since it reads whole row groups."""
    schema = next(record_tables(codec, 1)).schema
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False, write_statistics=False) as writer:
        for table in record_tables(codec, clips):
            writer.write_table(table, row_group_size=1)


def write_lmdb(path: Path, codec: str, clips: int) -> None:
    """A key of eight bytes a clip."""
    size = 2 * clips * (record_dtype(SHAPE, codec).itemsize + 8192)
    with lmdb.open(str(path), map_size=size) as store, store.begin(write=True) as write:
        for first, records in zip(range(0, clips, _CHUNK), record_chunks(codec, clips), strict=True):
            for i, record in enumerate(records):
                write.put((first + i).to_bytes(8, "big"), record.tobytes(), append=True)


def write_all(folder: Path, codec: str, clips: int) -> VersionManifest:
    """The same records in all stores."""
    manifest = write_ours(folder / "ours", codec, clips)
    write_parquet(folder / "clips.parquet", codec, clips)
    write_lmdb(folder / "clips.lmdb", codec, clips)
    schema = next(record_tables(codec, 1)).schema
    batches = (batch for table in record_tables(codec, clips) for batch in table.to_batches())
    lance.write_dataset(batches, str(folder / "clips.lance"), schema=schema)
    return manifest


def open_all(folder: Path, manifest: VersionManifest, closing: ExitStack) -> dict[str, Read]:
    """A way to read rows of each store. All end with what scoring takes: one array, a row of bytes a clip."""
    size = record_dtype(SHAPE, manifest.codec).itemsize
    ours = FineStore(Store(str(folder / "ours")), manifest)
    closing.callback(ours.close)
    parquet = closing.enter_context(pq.ParquetFile(folder / "clips.parquet", memory_map=False))
    dataset = lance.dataset(str(folder / "clips.lance"))
    environment = closing.enter_context(
        lmdb.open(str(folder / "clips.lmdb"), readonly=True, lock=False, readahead=False)
    )
    a_shard = manifest.shards[0].clips
    clips = sum(shard.clips for shard in manifest.shards)
    # What a search answers with leads to a record: an address, or a key. Both are there before a read begins.
    addresses = [divmod(row, a_shard) for row in range(clips)]
    keys = [row.to_bytes(8, "big") for row in range(clips)]
    block = np.ones((READ, size), np.uint8)

    def of_lmdb(rows: Sequence[int]) -> np.ndarray:
        data = aligned_rows(len(rows), size)
        target = memoryview(data).cast("B")
        with environment.begin(buffers=True) as read:
            for i, row in enumerate(rows):
                target[i * size : (i + 1) * size] = read.get(keys[row])
        return data

    def of_arrow(table: pa.Table) -> np.ndarray:
        column = table["record"].combine_chunks()
        return np.frombuffer(column.buffers()[1], np.uint8, len(column) * size, column.offset * size).reshape(-1, size)

    def of_ours(rows: Sequence[int], tier: Tier) -> np.ndarray:
        records = ours.read([addresses[row] for row in rows], tier)
        return records.block.data_BX

    return {
        "ours": lambda rows: of_ours(rows, "all"),
        "frames": lambda rows: of_ours(rows, "frames"),
        "Parquet": lambda rows: of_arrow(parquet.read_row_groups(rows)),
        "Lance": lambda rows: of_arrow(dataset.take(rows, columns=["record"])),
        "LMDB": of_lmdb,
        "copy": lambda rows: block.copy(),
    }


def drop_cache(folder: Path) -> None:
    """Ask the kernel to forget the files' pages."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def check_equal(ways: dict[str, Read], clips: int) -> None:
    """Prove that all stores give the same bytes."""
    rows = [clips - 1, 0, clips // 2]
    wanted = ways["ours"](rows)
    for name in _BASELINES:
        if not np.array_equal(ways[name](rows), wanted):
            raise SystemExit(f"{name} gives other bytes")


def timed_ms(work: Read, rows: Sequence[int]) -> float:
    """Wall milliseconds of one call."""
    start = time.perf_counter()
    work(rows)
    return (time.perf_counter() - start) * 1000


def measure(folder: Path, manifest: VersionManifest, rounds: int, *, cold: bool) -> dict[str, np.ndarray]:
    """Milliseconds of each way in each round."""
    clips = sum(shard.clips for shard in manifest.shards)
    rng = np.random.default_rng(1)
    found: dict[str, list[float]] = {}
    with ExitStack() as warm:
        ways = {} if cold else open_all(folder, manifest, warm)
        if ways:
            check_equal(ways, clips)
        for way in ways.values():
            for first in range(0, clips - READ + 1, READ):
                way(range(first, first + READ))
        for number in range(-1, rounds):
            rows = rng.choice(clips, READ, replace=False).tolist()
            for name in ways or ("ours", "frames", *_BASELINES, "copy"):
                with ExitStack() as once:
                    if cold:
                        drop_cache(folder)
                    way = (ways or open_all(folder, manifest, once))[name]
                    spent = timed_ms(way, rows)
                # The first round starts threads and fills caches of the libraries.
                if number >= 0:
                    found.setdefault(name, []).append(spent)
    return {name: np.array(values) for name, values in found.items()}


def row_of(size: str, pages: str, found: dict[str, np.ndarray]) -> list[str]:
    """One row of the table."""
    best = min(_BASELINES, key=lambda name: float(np.median(found[name])))
    times = [
        f"{np.median(found[name]):.2f} ({found[name].min():.2f})" for name in ("ours", *_BASELINES, "frames", "copy")
    ]
    ratios = [np.median(found[a] / found[b]) for a, b in (("ours", best), ("frames", "ours"), ("ours", "copy"))]
    return [size, pages, *times, f"{ratios[0]:.2f} ({best})", *(f"{ratio:.2f}" for ratio in ratios[1:])]


def main() -> None:
    """Measure warm and cold, tell, and keep with --keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=8000, help="clips of 24 KiB")
    parser.add_argument("--large", type=int, default=600, help="clips of 0.6 MB")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--keep", action="store_true", help="enter the result into BENCHMARKS.md")
    args = parser.parse_args()
    head = ["record", "pages", "ours ms", "Parquet ms", "Lance ms", "LMDB ms", "frames tier ms", "copy ms"]
    rows = [[*head, "ours / best", "frames tier / ours", "ours / copy"]]
    for codec, clips in (("pooled-23", args.small), ("fp16", args.large)):
        size = f"{record_dtype(SHAPE, codec).itemsize:,} bytes"
        with tempfile.TemporaryDirectory(prefix="bench") as folder:
            manifest = write_all(Path(folder), codec, clips)
            for cold in (False, True):
                found = measure(Path(folder), manifest, args.rounds, cold=cold)
                rows.append(row_of(size, "cold" if cold else "warm", found))
    tell(
        f"Records of {READ} random clips, of {args.small} small and {args.large} large ones, ViT-B/32 sizes",
        "make bench ONLY=benchmarks/bench_fine_store.py "
        f"ARGS='--small {args.small} --large {args.large} --rounds {args.rounds}'",
        rows,
        [
            "median (least) over the rounds; ratios: the median of each round's own; best: of the three, by median",
            "baselines: Parquet with a row group a clip (read_row_groups), Lance (take), LMDB (get, readahead off), "
            f"uncompressed, pylance {lance.__version__}, lmdb {lmdb.__version__}; ceiling: copying the same bytes",
            "frames tier: the front of the same records, without patches",
            "cold: closed, posix_fadvise DONTNEED, opened again; the host below a virtual machine may still cache",
        ],
        keep=args.keep,
    )


if __name__ == "__main__":
    main()
