"""Clips of the tables, and their frames, as rows for `VectorStore.insert`."""

import json
from typing import Any

import numpy as np
import pyarrow as pa

_NAMES = ("clip_id", "video_id", "uri", "start_s", "end_s")


def clip_rows(table: pa.Table, addresses: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Clips as rows of a collection of clips.

    Args:
        table: rows of `schemas.tables.clips_schema`.
        addresses: shard and row of each.
    """
    vectors = np.asarray(table["coarse"].combine_chunks().flatten(), np.float32).reshape(len(table), -1)
    columns = {name: table[name].to_pylist() for name in _NAMES}
    metadata = [json.loads(text) for text in table["metadata"].to_pylist()]
    return [
        {name: column[i] for name, column in columns.items()}
        | {"shard": shard, "row": row, "metadata": metadata[i], "v": vectors[i]}
        for i, (shard, row) in enumerate(addresses)
    ]


def frame_rows(table: pa.Table, frames: int, dim: int) -> list[dict[str, Any]]:
    """The real frames of clips as rows of a collection of frames.

    Args:
        table: rows of `schemas.tables.clips_schema`.
        frames: F, frames a clip with padding.
        dim: D.

    Returns:
        one row a real frame: `frame_id` (clip_id:number, number from 0), `clip_id`, and `v` = n(f), float32 (D).
    """
    rows: list[dict[str, Any]] = []
    for batch in table.select(["clip_id", "mask", "frames"]).to_batches():
        mask_BF = np.asarray(batch.column("mask").flatten()).reshape(-1, frames)
        tokens_BFD = np.frombuffer(b"".join(batch.column("frames").to_pylist()), "<f2").reshape(-1, frames, dim)
        for clip_id, mask_F, tokens_FD in zip(batch.column("clip_id").to_pylist(), mask_BF, tokens_BFD, strict=True):
            rows += [
                {"frame_id": f"{clip_id}:{f}", "clip_id": clip_id, "v": tokens_FD[f].astype(np.float32)}
                for f in np.flatnonzero(mask_F)
            ]
    return rows
