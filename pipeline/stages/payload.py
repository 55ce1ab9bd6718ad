"""What flows between the stages: one row a task, its tables as Arrow IPC bytes, an error if a stage failed.

Row: task_id (str), videos (VIDEOS_SCHEMA, IPC), clips (IPC; DECODED_SCHEMA before encoding, clips_schema after),
error (str; not empty: the task is not committed, and a rerun tries it again), split (bool: the task's sources are too
much together, and are to be planned again one by one), cut (`Cut` as JSON, not empty: the only source has too many
clips for one worker, and is to be done in such parts), part (`Part` as JSON, not empty: this is such a part),
copied (clips_schema, IPC, or empty: clips of committed files with the same bytes, which need no encoding),
busy_s (JSON: seconds that each stage has worked on it).
"""

import json
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

DECODED_SCHEMA: Final = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64(), nullable=False),
        pa.field("fps", pa.float64(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("frame_times_s", pa.list_(pa.float64()), nullable=False),
        pa.field("frames_NHWC", pa.large_binary(), nullable=False),  # uint8, N real frames, size x size x 3
        pa.field("metadata", pa.string(), nullable=False),
    ]
)


def to_ipc(table: pa.Table) -> bytes:
    """A table as one Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def from_ipc(data: bytes) -> pa.Table:
    """The table of an Arrow IPC stream."""
    return pa.ipc.open_stream(data).read_all()


@dataclass(frozen=True)
class TaskPayload:
    """A task between two stages."""

    task_id: str
    videos: bytes = b""
    clips: bytes = b""
    error: str = ""
    split: bool = False
    cut: str = ""
    part: str = ""
    copied: bytes = b""
    busy_s: str = "{}"

    @property
    def is_void(self) -> bool:
        """Whether there is nothing to encode or to write: it failed, or is to be planned otherwise."""
        return bool(self.error or self.split or self.cut)

    @classmethod
    def of_batch(cls, batch: dict[str, Any]) -> Self:
        """From a Ray Data batch of one row."""
        return cls(**{field.name: batch[field.name][0] for field in fields(cls)})

    def to_batch(self) -> dict[str, Any]:
        """To a Ray Data batch of one row; object arrays keep bytes that end in zeros whole."""
        return {name: _one(value) for name, value in vars(self).items()}

    def timed(self, stage: str, seconds: float) -> Self:
        """The same, with the seconds that a stage took."""
        return replace(self, busy_s=json.dumps(json.loads(self.busy_s) | {stage: round(seconds, 4)}))

    def failed(self, stage: str, error: BaseException) -> Self:
        """The same task, to be left uncommitted, with what went wrong in one line."""
        text = " ".join(str(error).split())[:300]
        return replace(self, videos=b"", clips=b"", copied=b"", error=f"{stage}: {type(error).__name__}: {text}")


def _one(value: object) -> np.ndarray:
    array = np.empty(1, dtype=object)
    array[0] = value
    return array
