"""Clips of the tables, and their frames, as rows for `VectorStore.insert`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.index.field_values import field_values
from pipeline.metadata import read_metadata
from schemas.fields import FilterField

_NAMES = ("clip_id", "video_id", "uri", "start_s", "end_s")


def clip_rows(
    table: pa.Table, addresses: list[tuple[int, int]], fields: Sequence[FilterField] = ()
) -> list[dict[str, Any]]:
    """Clips as rows of a collection of clips.

    Args:
        table: rows of `schemas.tables.clips_schema`.
        addresses: shard and row of each.
        fields: those of the version.

    Raises:
        UsageError: a field's value is of another type.
        StorageError: the metadata of a clip are no JSON object.
    """
    vectors = np.asarray(table["coarse"].combine_chunks().flatten(), np.float32).reshape(len(table), -1)
    columns = {name: table[name].to_pylist() for name in _NAMES}
    texts = zip(table["metadata"].to_pylist(), columns["clip_id"], strict=True)
    metadata = [read_metadata(text, f"clip {clip_id}") for text, clip_id in texts]
    values = field_values(table, fields)
    return [
        {name: column[i] for name, column in columns.items()}
        | values[i]
        | {"shard": shard, "row": row, "metadata": metadata[i], "v": vectors[i]}
        for i, (shard, row) in enumerate(addresses)
    ]


def frame_rows(table: pa.Table, frames: int, dim: int, fields: Sequence[FilterField] = ()) -> list[dict[str, Any]]:
    """The real frames of clips as rows of a collection of frames.

    Args:
        table: rows of `schemas.tables.clips_schema`.
        frames: F, frames a clip with padding.
        dim: D.
        fields: those of the version.

    Returns:
        one row a real frame: `frame_id` (clip_id:number, number from 0), `clip_id`, `v` = n(f), float32 (D), and the
        fields of its clip.
    """
    rows: list[dict[str, Any]] = []
    values = iter(field_values(table, fields))
    for batch in table.select(["clip_id", "mask", "frames"]).to_batches():
        mask_BF = np.asarray(batch.column("mask").flatten()).reshape(-1, frames)
        tokens_BFD = np.frombuffer(b"".join(batch.column("frames").to_pylist()), "<f2").reshape(-1, frames, dim)
        for clip_id, mask_F, tokens_FD in zip(batch.column("clip_id").to_pylist(), mask_BF, tokens_BFD, strict=True):
            of_clip = next(values)
            rows += [
                {"frame_id": f"{clip_id}:{f}", "clip_id": clip_id, "v": tokens_FD[f].astype(np.float32)} | of_clip
                for f in np.flatnonzero(mask_F)
            ]
    return rows
