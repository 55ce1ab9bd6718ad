"""Writes clips of the tables into shards and into Milvus, and counts what it has written."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from pipeline.index.fine_writer import FineWriter
from pipeline.index.milvus_rows import clip_rows, frame_rows
from pipeline.index.vector_store import VectorStore
from pipeline.storage import Store
from schemas.fields import FilterField
from schemas.manifest import FINE_DIR
from schemas.tables import TokenShape


class ClipWriter:
    """Clips into both stores, a table at a time.

    Args:
        vectors: the Milvus.
        collection: of the clips.
        frames: the collection of their frames, or None.
        writer: of the shards.
        shape: F, P and D.
        batch_rows: rows of one message to Milvus.
        fields: those of the version.
    """

    def __init__(
        self,
        vectors: VectorStore,
        collection: str,
        frames: str | None,
        writer: FineWriter,
        shape: TokenShape,
        batch_rows: int,
        fields: Sequence[FilterField],
    ) -> None:
        self._vectors = vectors
        self._collection = collection
        self._frames = frames
        self._writer = writer
        self._shape = shape
        self._batch_rows = batch_rows
        self._fields = fields
        self.clips_a_video: Counter[str] = Counter()
        self.frame_rows = 0

    def write(self, table: pa.Table) -> None:
        """Write the clips of one task."""
        for start in range(0, len(table), self._batch_rows):
            part = table.slice(start, self._batch_rows)
            self._vectors.insert(self._collection, clip_rows(part, self._writer.append(part), self._fields))
            if self._frames:
                self._write_frames(self._frames, part)
            self.clips_a_video.update(part["video_id"].to_pylist())

    def _write_frames(self, collection: str, part: pa.Table) -> None:
        rows = frame_rows(part, self._shape.frames, self._shape.dim, self._fields)
        # The rows of a call stay few: a message to Milvus has a largest size.
        for start in range(0, len(rows), self._batch_rows):
            self._vectors.insert(collection, rows[start : start + self._batch_rows])
        self.frame_rows += len(rows)


@contextmanager
def shard_folder(store: Store) -> Iterator[tuple[Path, Callable[[Path], None]]]:
    """Where the shards of a version are written, and what is done with each complete one.

    Args:
        store: the folder of the version.
    """
    if not store.is_remote:
        yield Path(store.path(FINE_DIR)), lambda path: None
        return
    with tempfile.TemporaryDirectory(prefix="reelsift-build-") as folder:

        def upload(path: Path) -> None:
            store.upload(path, f"{FINE_DIR}/{path.name}")
            # One shard at a time is all that the local disk must hold.
            path.unlink()

        yield Path(folder), upload
