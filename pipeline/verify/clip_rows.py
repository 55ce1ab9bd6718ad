"""What must hold of each row of a clips object. Pure."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.metadata import read_metadata
from schemas.errors import StorageError
from schemas.ids import clip_id
from schemas.tables import TablesInfo

# float16 keeps a norm to 0.0005; what bfloat16 adds before it stays far below this.
_NORM_TOLERANCE = 0.01


def row_problems(batch: pa.RecordBatch, info: TablesInfo) -> Iterator[tuple[int, str]]:
    """What is wrong, as (row in the batch, text).

    Args:
        batch: rows of `schemas.tables.clips_schema`; a few dozen, since tokens are widened to float32.
        info: the settings of the tables.
    """
    shape = info.token_shape
    mask_BF = np.asarray(batch.column("mask").flatten()).reshape(-1, shape.frames)
    yield from _plain_problems(batch, mask_BF, info.model_id)
    real_BF = mask_BF.astype(bool)
    coarse_BD = np.asarray(batch.column("coarse").flatten()).reshape(len(batch), 1, 1, shape.dim)
    yield from _vector_problems("coarse", coarse_BD, np.ones((len(batch), 1), bool))
    for name, per_frame in (("frames", 1), ("temporal_frames", 1), ("patches", shape.patches)):
        data = b"".join(batch.column(name).to_pylist())
        tokens_BFND = np.frombuffer(data, "<f2").reshape(len(batch), shape.frames, per_frame, shape.dim)
        yield from _vector_problems(name, tokens_BFND, real_BF)


def _plain_problems(batch: pa.RecordBatch, mask_BF: np.ndarray, model_id: str) -> Iterator[tuple[int, str]]:
    names = ("clip_id", "video_id", "start_s", "end_s", "frame_times_s", "model_id", "metadata")
    columns = (batch.column(name).to_pylist() for name in names)
    for row, (clip, video, start_s, end_s, times, model, metadata) in enumerate(zip(*columns, strict=True)):
        if not 0 <= start_s <= end_s < np.inf:
            yield row, f"its span is {start_s:g} to {end_s:g} s"
        elif clip != clip_id(video, start_s, end_s):
            yield row, "its clip_id is not that of its video and span"
        real = int(np.count_nonzero(mask_BF[row] == 1))
        if not real or mask_BF[row].tolist() != [1] * real + [0] * (len(mask_BF[row]) - real):
            yield row, f"mask {mask_BF[row].tolist()} is not ones and then zeros"
        if len(times) != real or not np.isfinite(times).all():
            yield row, f"{len(times)} frame times for {real} real frames, or one is not finite"
        if model != model_id:
            yield row, f"it is of model {model!r}, the tables are of {model_id!r}"
        yield from ((row, text) for text in metadata_problems(metadata))


def metadata_problems(text: str) -> Iterator[str]:
    """What is wrong with a cell of the column `metadata`.

    >>> list(metadata_problems('{"year": 2019}')), list(metadata_problems("[1]"))
    ([], ["metadata '[1]' is no JSON object"])
    """
    try:
        read_metadata(text, "")
    except StorageError:
        yield f"metadata {text[:60]!r} is no JSON object"


def _vector_problems(name: str, tokens_BFND: np.ndarray, real_BF: np.ndarray) -> Iterator[tuple[int, str]]:
    """Real vectors are unit; those of padding are zero, or unit in a model's reference profile."""
    wide_BFND = tokens_BFND.astype(np.float32)
    norm_BFN: Any = np.sqrt(np.einsum("bfnd,bfnd->bfn", wide_BFND, wide_BFND))
    finite_BFN: Any = np.isfinite(wide_BFND).all(-1)
    good_BFN: Any = (np.abs(norm_BFN - 1) <= _NORM_TOLERANCE) | ((norm_BFN == 0) & ~real_BF[:, :, None])
    for row in np.flatnonzero(~(good_BFN & finite_BFN).all((1, 2))):
        if not finite_BFN[row].all():
            yield int(row), f"{name} is not finite in {np.count_nonzero(~finite_BFN[row])} vectors"
            continue
        bad = ~good_BFN[row]
        worst = norm_BFN[row][bad][0]
        yield int(row), f"{name} is not of unit length in {np.count_nonzero(bad)} vectors (one is {worst:.4g})"
