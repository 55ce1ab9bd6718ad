"""The queries that a build measures its recall with: clips of the tables and a frame of each, drawn beforehand."""

import random
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.index.milvus_rows import frame_rows
from pipeline.storage import Store
from pipeline.tables import current_videos, iter_task_clips
from schemas.tables import TablesInfo

# From so many objects of the tables at least, where there are as many: clips of one task may be alike.
_TASKS = 8
_COLUMNS: Final = ("clip_id", "video_id", "coarse", "mask", "frames")


@dataclass(frozen=True)
class RecallSample:
    """S clips drawn by chance, the same ones for the same tables.

    Attributes:
        clip_ids: of the clips.
        coarse_SD: their coarse vectors, float32.
        frames_SD: a real frame of each, float32.
    """

    clip_ids: list[str]
    coarse_SD: np.ndarray
    frames_SD: np.ndarray


def draw_sample(tables: Store, info: TablesInfo, count: int) -> RecallSample:
    """Draw clips from some tasks of the tables; only their coarse vectors and frames are kept.

    Args:
        tables: that hold one clip at least.
        info: of the tables.
        count: how many; all clips if there are fewer.

    Raises:
        StorageError: an object is missing, or of another model.
    """
    rng = random.Random(0)
    videos = current_videos(tables)
    tasks = sorted(videos)
    rng.shuffle(tasks)
    share = -(-count // min(_TASKS, len(tasks)))
    drawn: list[pa.Table] = []
    wanted = count
    objects = (
        table for task in tasks for table in iter_task_clips(tables, task, videos[task], info.model_id, list(_COLUMNS))
    )
    for table in objects:
        rows = rng.sample(range(len(table)), min(share, wanted, len(table)))
        drawn.append(table.take(pa.array(rows, pa.int64())))
        wanted -= len(rows)
        if not wanted:
            break
    return _sample_of(pa.concat_tables(drawn).combine_chunks(), info, rng)


def _sample_of(table: pa.Table, info: TablesInfo, rng: random.Random) -> RecallSample:
    shape = info.token_shape
    coarse_SD = np.asarray(table["coarse"].combine_chunks().flatten(), np.float32).reshape(len(table), shape.dim)
    by_clip: dict[str, list[np.ndarray]] = {}
    for row in frame_rows(table, shape.frames, shape.dim):
        by_clip.setdefault(row["clip_id"], []).append(row["v"])
    frames = [rng.choice(by_clip[clip]) for clip in table["clip_id"].to_pylist() if clip in by_clip]
    return RecallSample(table["clip_id"].to_pylist(), coarse_SD, np.array(frames, np.float32).reshape(-1, shape.dim))
