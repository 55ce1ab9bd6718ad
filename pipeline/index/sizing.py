"""What an index of so many clips needs, from constants that were measured. Pure.

The constants are of one machine (2 cores, AMD EPYC) and of Milvus 2.3.5 with vectors of 512 numbers. On another one
they tell the order of magnitude; what was not measured at all says so.
"""

from math import ceil
from typing import Final

from pipeline.index.fine_layout import HEADER_BYTES, record_dtype
from pipeline.index.index_choice import DISKANN, FLAT, HNSW, IVF_FLAT, IVF_RABITQ, IVF_SQ8, choose_index, memory_bytes
from schemas.codecs import merged_tokens
from schemas.sizing import CollectionEstimate, EstimateConfig, SizeEstimate
from schemas.tables import TokenShape

# Milvus 2.3.5 with 1,000,000 rows of 512 numbers: 1.9 GB resident with IVF_SQ8, 3.2 GB with FLAT, 0.44 GB before. So a
# row costs 0.95 KB (SQ8) and 0.71 KB (FLAT) beside its vector: ids, scalar columns, buffers. The larger one counts.
ROW_BYTES: Final = 950
IDLE_BYTES: Final = 440_000_000
# The same server's disk after 1,000,000 rows: 6.1 GB, three times the float32 vectors.
DISK_FACTOR: Final = 3.0
# The same server took 2,000 rows a second of 1,000,000, from one writer on a busy machine.
LOAD_ROWS_A_SECOND: Final = 2000.0
# Core seconds a row, 2 cores: HNSW (M 16, efConstruction 100) 168 s for 100,000 rows; IVF_FLAT 268 s for 100,000 (nlist
# 1024); IVF_SQ8 399 s for 1,000,000 (nlist 128). IVF_RABITQ and DISKANN were not measured: as IVF_SQ8, and as HNSW.
INDEX_CORE_S: Final = {
    FLAT: 0.0, HNSW: 3.4e-3, IVF_FLAT: 5.4e-3, IVF_SQ8: 0.8e-3, IVF_RABITQ: 0.8e-3, DISKANN: 3.4e-3,
}  # fmt: skip
# Median ms to score 50 candidates on one thread (BENCHMARKS.md, "Scoring 50 candidates"); of pooled-N that of
# pooled-23, and the slope from `frames` to it.
SCORE_MS: Final = {"fp32": 8.88, "fp16": 5.48, "int8": 2.18, "1bit": 2.76, "frames": 0.62}
_POOLED_MS, _POOLED_N = 0.72, 23
# CPU ms of a whole query beside the scoring, encoding included (ARCHITECTURE.md, "Recall by moments"): Milvus Lite in
# the same process, which a server would take off it.
QUERY_MS: Final = {"coarse": 11.5, "both": 33.6}
# Above this share of a core, queries queue up.
BUSY: Final = 0.7
# The newest release that DISKANN was written for in this project; 2.3.5 of PyPI has none.
_SERVER = "v2.4.0"
_GB = 1e9


def estimate(config: EstimateConfig) -> SizeEstimate:
    """Sizes, replicas and hours of an index.

    >>> found = estimate(EstimateConfig(clips=1_000_000, codec="pooled-23"))
    >>> found.record_bytes, found.shards, found.coarse.chosen, found.frames.rows
    (24576, 92, 'HNSW', 12000000)
    """
    shape = TokenShape(frames=config.frames, patches=config.patches, dim=config.dim)
    record = record_dtype(shape, config.codec).itemsize
    shards = ceil(config.clips / max(1, (config.shard_bytes - HEADER_BYTES) // record))
    return SizeEstimate(
        clips=config.clips,
        codec=config.codec,
        record_bytes=record,
        fine_gb=round((config.clips * record + shards * HEADER_BYTES) / _GB, 3),
        shards=shards,
        coarse=_collection(config.clips, config),
        frames=_collection(config.clips * config.frames, config),
        queries_a_second=config.queries_a_second,
        replicas={mode: _replicas(config, query_ms) for mode, query_ms in QUERY_MS.items()},
    )


def score_ms(codec: str, shape: TokenShape) -> float:
    """Milliseconds to score 50 candidates on one thread, in the sizes of the shape.

    >>> shape = TokenShape(frames=12, patches=49, dim=512)
    >>> score_ms("fp16", shape), round(score_ms("pooled-23", shape), 2)
    (5.48, 0.72)
    """
    merged = merged_tokens(codec)
    slope = (_POOLED_MS - SCORE_MS["frames"]) / _POOLED_N
    measured = SCORE_MS[codec] if merged is None else SCORE_MS["frames"] + slope * merged
    bytes_here = record_dtype(shape, codec).itemsize
    # Scoring goes at the speed of reading.
    return measured * bytes_here / record_dtype(TokenShape(frames=12, patches=49, dim=512), codec).itemsize


def _replicas(config: EstimateConfig, query_ms: float) -> int:
    shape = TokenShape(frames=config.frames, patches=config.patches, dim=config.dim)
    busy_s = config.queries_a_second * (query_ms + score_ms(config.codec, shape)) / 1000
    return ceil(busy_s / BUSY)


def _collection(rows: int, config: EstimateConfig) -> CollectionEstimate:
    chosen = choose_index("auto", rows, config.dim, config.index_memory_gb, _SERVER).index_type
    memory = {kind: IDLE_BYTES + rows * (memory_bytes(kind, config.dim) + ROW_BYTES) for kind in INDEX_CORE_S}
    return CollectionEstimate(
        rows=rows,
        memory_gb={kind: round(needed / _GB, 2) for kind, needed in memory.items()},
        chosen=chosen,
        disk_gb=round(DISK_FACTOR * 4 * config.dim * rows / _GB, 2),
        load_hours=round(rows / LOAD_ROWS_A_SECOND / 3600, 2),
        index_hours=round(rows * INDEX_CORE_S[chosen] / config.index_cores / 3600, 2),
    )
