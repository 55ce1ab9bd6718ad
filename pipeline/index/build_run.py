"""What one build writes and counts: shards, rows of Milvus, the checks of both, the manifest."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.eercf import EercfModel
from pipeline.index.bulk_import import BulkImport, parts_folder
from pipeline.index.collection_schema import METRIC
from pipeline.index.collection_writer import CollectionWriter
from pipeline.index.field_values import all_fields
from pipeline.index.fine_layout import record_dtype
from pipeline.index.fine_writer import FineWriter
from pipeline.index.milvus_rows import clip_rows, frame_rows
from pipeline.index.naming import alias_name, collection_name, frames_name, index_id
from pipeline.index.new_clips import check_counts
from pipeline.index.own_vectors import OWN_CLIPS, check_own_vectors
from pipeline.index.recall_check import RecallCheck
from pipeline.index.recall_sample import RecallSample
from pipeline.index.row_sinks import BackgroundInserts, RowSink
from pipeline.index.task_list import write_tasks
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import version_store
from pipeline.storage import Store
from pipeline.tables import current_videos, iter_clips
from schemas.errors import IndexCorruptError
from schemas.index_config import IndexConfig
from schemas.manifest import FINE_DIR, FineShard, FramesCollection, VersionManifest
from schemas.tables import TablesInfo

Say = Callable[[str], None]


class BuildRun:
    """One run of a build: what it writes, and what it has counted."""

    def __init__(
        self,
        index: Store,
        version: int,
        vectors: VectorStore,
        info: TablesInfo,
        config: IndexConfig,
        progress: Callable[[int, str], None],
    ) -> None:
        identity = index_id(index)
        self.collection = collection_name(identity, version)
        self._alias = alias_name(identity)
        self._store = version_store(index, version)
        self._version = version
        self._vectors = vectors
        self._info = info
        self._config = config
        self._fields = all_fields(config.fields)
        self._progress = progress
        # Once, so that the list of tasks and what is read of them cannot differ while an extraction goes on.
        self._tasks = current_videos(Store(config.tables))
        self._clip_ids: list[pa.Array] = []
        self._clips_a_video: Counter[str] = Counter()
        # Of the user's fields: how many clips have a value.
        self._valued: Counter[str] = Counter()
        self._clips: CollectionWriter
        self._frames: CollectionWriter | None = None
        self._sample: list[str] = []

    def refuse_foreign_collections(self) -> None:
        """A copy of this index may use the same Milvus; what it has there is not ours to replace."""
        present = self._vectors.collections()
        for name in (self.collection, frames_name(self.collection)):
            if name in present:
                raise IndexCorruptError(
                    f"Milvus ({self._vectors.place}) has a collection {name} that this index did not make; "
                    "is there a copy of the index? Build into a new --index"
                )

    @property
    def parts(self) -> str:
        """The folder of the files that Milvus imports; "" where rows are inserted."""
        return parts_folder(self._config.bulk_import, self.collection) if self._config.bulk_import else ""

    def sink(self) -> RowSink:
        """How rows go into Milvus."""
        if not self._config.bulk_import:
            return BackgroundInserts(self._vectors)
        return BulkImport(self._vectors.imports, self.parts, self._config.index_stall_s)

    def open(self, sink: RowSink, sample: RecallSample, *, with_frames: bool) -> None:
        """Make the collections: of clips, and of their frames if they are wanted."""
        dim = self._info.token_shape.dim
        self._vectors.create(self.collection, dim, self._fields)
        target = self._config.recall_target
        check = RecallCheck(sample.coarse_SD, target)
        self._clips = CollectionWriter(self._vectors, sink, self.collection, "clip_id", "clips", check)
        if with_frames:
            name = frames_name(self.collection)
            self._vectors.create_frames(name, dim, self._fields)
            check = RecallCheck(sample.frames_SD, target)
            self._frames = CollectionWriter(self._vectors, sink, name, "frame_id", "frames", check)

    def write(self, tables: Store, sink: RowSink, *, masked: bool) -> list[FineShard]:
        """Write all clips into the shards and into Milvus, and their frames into Milvus."""
        with self._shard_folder() as (folder, finished):
            settings = (self._info.token_shape, self._config.codec, self._config.shard_bytes)
            writer = FineWriter(folder, *settings, finished, masked=masked)
            try:
                for table in iter_clips(tables, self._info.model_id, self._tasks):
                    self._write_task(table, writer)
                shards = writer.close()
                sink.finish(self._doing)
                return shards
            finally:
                writer.abort()

    def tell_fields(self, say: Say) -> None:
        """Say which of the user's fields no clip has a value of: most likely a name with a slip."""
        for field in self._config.fields:
            if not self._valued[field.name]:
                say(f"no clip has a value of {field.name}: is the name of --field right?")

    def make_indexes(self) -> None:
        """Index what was written."""
        for part in filter(None, (self._clips, self._frames)):
            part.make_index(self._config, self._doing)

    def _doing(self, what: str) -> None:
        self._progress(self._clips_a_video.total(), what)

    @contextmanager
    def _shard_folder(self) -> Iterator[tuple[Path, Callable[[Path], None]]]:
        if not self._store.is_remote:
            yield Path(self._store.path(FINE_DIR)), lambda path: None
            return
        with tempfile.TemporaryDirectory(prefix="reelsift-build-") as folder:

            def upload(path: Path) -> None:
                self._store.upload(path, f"{FINE_DIR}/{path.name}")
                # One shard at a time is all that the local disk must hold.
                path.unlink()

            yield Path(folder), upload

    def _write_task(self, table: pa.Table, writer: FineWriter) -> None:
        for start in range(0, len(table), self._config.batch_rows):
            part = table.slice(start, self._config.batch_rows)
            rows = clip_rows(part, writer.append(part), self._fields)
            self._clips.write(rows, self._config.batch_rows)
            for field in self._config.fields:
                self._valued[field.name] += sum(row[str(field.present)] for row in rows)
            if self._frames:
                shape = self._info.token_shape
                self._frames.write(frame_rows(part, shape.frames, shape.dim, self._fields), self._config.batch_rows)
            self._clip_ids.append(part["clip_id"].combine_chunks())
            self._clips_a_video.update(part["video_id"].to_pylist())
            self._progress(self._clips_a_video.total(), "writing clips")

    def verify(self, shards: list[FineShard], expected: dict[str, int]) -> None:
        """Compare the counts of the tables, of Milvus and of the shards.

        Args:
            shards: what was written.
            expected: clips a video, as the videos table has them.

        Raises:
            IndexCorruptError: they differ, or a clip is there twice.
        """
        ids = pa.chunked_array(self._clip_ids, pa.string())
        counted = pc.value_counts(ids)
        if len(counted) < len(ids):
            twice = counted.filter(pc.greater(counted.field("counts"), 1)).field("values")
            raise IndexCorruptError(f"{len(twice)} clips, {twice[0]} among them, are in the tables twice: extract anew")
        check_counts(self._clips_a_video, expected)
        rows, records = self._clips.verify(), sum(shard.clips for shard in shards)
        if records != rows:
            raise IndexCorruptError(
                f"the tables hold {len(ids)} clips, Milvus {rows}, the shards {records}: nothing was kept, build again"
            )
        if self._frames:
            self._frames.verify()

    def prove(self, sample: RecallSample, say: Say) -> None:
        """Measure what searches find, and look for some clips by their own vectors.

        Raises:
            VectorStoreError: they find less than the target.
            IndexCorruptError: a clip is not found by its vector.
        """
        for part in filter(None, (self._clips, self._frames)):
            self._doing("measuring the recall")
            part.measure(say)
        ids = pa.chunked_array(self._clip_ids, pa.string())
        chosen = np.flatnonzero(pc.is_in(pa.array(sample.clip_ids), ids))[:OWN_CLIPS]
        self._sample = [sample.clip_ids[row] for row in chosen]
        index = (self._clips.index_type, self._clips.ann.search)
        check_own_vectors(self._vectors, self.collection, index, self._sample, sample.coarse_SD[chosen])

    def manifest(self, shards: list[FineShard], model: EercfModel, tables: Store, milvus: str) -> VersionManifest:
        """What binds all that was written."""
        shape, clips = self._info.token_shape, self._clips_a_video.total()
        vector_bytes = 4 * shape.dim
        return VersionManifest(
            version=self._version,
            model=self._info.model,
            model_id=self._info.model_id,
            weights_sha256=model.weights_sha256,
            sampler=self._info.sampler,
            token_shape=shape,
            scoring=model.scoring,
            codec=self._config.codec,
            metric=METRIC,
            index_type=self._clips.index_type,
            ann=self._clips.ann,
            milvus=milvus,
            collection=self.collection,
            frames=self._frames_collection(),
            alias=self._alias,
            clips=clips,
            videos=len(self._clips_a_video),
            bytes_per_clip=record_dtype(shape, self._config.codec).itemsize
            + vector_bytes
            + round(vector_bytes * (self._frames.rows if self._frames else 0) / clips),
            shards=shards,
            tables=tables.root,
            fields=self._fields,
            sample=self._sample,
            tasks_object=write_tasks(self._store, 1, self._tasks),
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _frames_collection(self) -> FramesCollection | None:
        if not self._frames:
            return None
        return FramesCollection(
            collection=self._frames.collection,
            rows=self._frames.rows,
            index_type=self._frames.index_type,
            ann=self._frames.ann,
        )
