"""Builds a version of an index from tables: fine shards and Milvus rows, task by task, and the manifest last."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from pipeline.folder_kinds import refuse_tables
from pipeline.index.build_lock import only_build
from pipeline.index.build_run import BuildRun
from pipeline.index.bulk_import import check_place
from pipeline.index.finish import finish_but_damaged
from pipeline.index.frames_choice import choose_frames
from pipeline.index.index_choice import check_index_type
from pipeline.index.intent import read_intent
from pipeline.index.milvus_connection import check_milvus
from pipeline.index.recall_sample import draw_sample
from pipeline.index.unfinished import mark, remove, remove_unfinished, unmark
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import live_pointer, next_version, summary_of
from pipeline.storage import Store
from pipeline.tables import read_videos, require_info
from pipeline.tables_model import model_of_tables
from schemas.errors import ReelsiftError, StorageError
from schemas.index_config import IndexConfig
from schemas.manifest import LITE, MANIFEST
from schemas.results import IndexSummary
from schemas.tables import DELETED

# rows written so far, rows expected, what is being done
Progress = Callable[[int, int, str], None]
Say = Callable[[str], None]


def build_index(
    config: IndexConfig, progress: Progress = lambda done, total, doing: None, say: Say = lambda line: None
) -> IndexSummary:
    """Build the next version. It is not live until it is published.

    Args:
        config: the settings of the job.
        progress: called from time to time.
        say: called with each choice that was made for the user, in one line.

    Raises:
        UsageError: Milvus Lite for an index in an object store, or an index type that this Milvus does not have.
        StorageError: the tables hold no committed clips, another command is writing this index, or the place for files
            to import cannot be read.
        ModelMismatchError: the model of the tables now loads as another one.
        IndexCorruptError: what was written is not what was read; nothing of it stays.
        VectorStoreError: Milvus is away or refuses, or finds too little of what brute force finds; nothing of it stays.
    """
    milvus = config.milvus or LITE
    index = Store(config.index)
    check_milvus(milvus, index.root)
    refuse_tables(index)
    if config.bulk_import:
        check_place(config.bulk_import, milvus)
    _end_unfinished(index)
    tables = Store(config.tables)
    info = require_info(tables)
    expected = _clips_a_video(tables)
    total = sum(expected.values())
    model = model_of_tables(info)
    frames = choose_frames(config.frames, milvus, total, info.token_shape.frames)
    sample = draw_sample(tables, info, config.recall_sample)
    with _opened(milvus, index) as vectors, only_build(index):
        check_index_type(config.index_type, vectors.version)
        finish_but_damaged(index)
        remove_unfinished(index, milvus, vectors)
        version = next_version(index)
        build = BuildRun(index, version, vectors, info, config, lambda done, doing: progress(done, total, doing))
        build.refuse_foreign_collections()
        say(f"frame vectors: {'yes' if frames.made else 'no'} ({frames.why})")
        mark(index, version, milvus, build.collection, build.parts)
        try:
            with closing(build.sink()) as sink:
                build.open(sink, sample, with_frames=frames.made)
                shards = build.write(tables, sink, masked=model.scoring.fusion.masked)
            build.tell_fields(say)
            build.make_indexes()
            build.verify(shards, expected)
            build.prove(sample, say)
            manifest = build.manifest(shards, model, tables, milvus)
            if not index.create(f"versions/{version}/{MANIFEST}", manifest.model_dump_json(indent=1).encode()):
                raise StorageError(f"{index.root} has a version {version} already: another build made it meanwhile")
        except BaseException:
            with contextlib.suppress(ReelsiftError):
                remove(index, version, milvus, vectors)
            raise
        unmark(index, version)
    return summary_of(manifest, live_pointer(index))


def _end_unfinished(index: Store) -> None:
    """Before the tables are counted: a delete that was cut short still takes clips out of them."""
    if read_intent(index):
        with only_build(index):
            finish_but_damaged(index)


@contextmanager
def _opened(milvus: str, index: Store) -> Iterator[VectorStore]:
    vectors = VectorStore.open(milvus, index.root)
    try:
        yield vectors
    finally:
        vectors.close()


def _clips_a_video(tables: Store) -> dict[str, int]:
    videos = read_videos(tables)
    counts = dict(zip(videos["video_id"].to_pylist(), videos["clip_count"].to_pylist(), strict=True))
    if not any(counts.values()):
        raise StorageError(
            f"{tables.root} holds no committed clips: {_way_to_clips(videos['reason'].to_pylist(), tables)}"
        )
    return counts


def _way_to_clips(reasons: list[str | None], tables: Store) -> str:
    # An extraction does not bring back what was deleted.
    if DELETED in reasons:
        return "videos of it were deleted, which an extraction does not bring back: extract others into it"
    return f"run 'reelsift extract --tables {tables.root}' first"
