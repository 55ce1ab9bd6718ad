"""Readers of TABLES: only committed tasks count, and of a source planned twice only the newest plan."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from pipeline.storage import Store
from schemas.errors import StorageError
from schemas.tables import CLIPS_DIR, PLAN_DIR, PLAN_SCHEMA, TABLES_INFO, VIDEOS_DIR, VIDEOS_SCHEMA, TablesInfo


def write_parquet(table: pa.Table) -> bytes:
    """A table as Parquet bytes; the same table gives the same bytes."""
    sink = io.BytesIO()
    # Token columns are near-random bits: dictionaries and byte statistics would only cost.
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=False, write_statistics=False)
    return sink.getvalue()


def read_parquet(store: Store, name: str) -> pa.Table:
    """One Parquet object.

    Raises:
        StorageError: missing, unreadable, or not Parquet.
    """
    data = store.read(name)
    try:
        return pq.read_table(io.BytesIO(data))
    except pa.ArrowInvalid as error:
        raise StorageError(f"{store.path(name)} is not Parquet: {error}") from None


def read_info(store: Store) -> TablesInfo | None:
    """What wrote these tables, or None before the first run.

    Raises:
        StorageError: the file is there but does not parse.
    """
    if not store.exists(TABLES_INFO):
        return None
    try:
        return TablesInfo.model_validate_json(store.read(TABLES_INFO))
    except ValidationError as error:
        raise StorageError(f"{store.path(TABLES_INFO)} is damaged: {error.errors()[0]['msg']}") from None


def require_info(store: Store) -> TablesInfo:
    """Like `read_info`, but tables that were never written are an error.

    Raises:
        StorageError: no extraction has run on this location.
    """
    info = read_info(store)
    if info is None:
        raise StorageError(f"{store.root} holds no tables: run 'reelsift extract --tables {store.root}' first")
    return info


@dataclass(frozen=True)
class Plan:
    """The current plan: the newest row of each source."""

    rows: pa.Table
    parts: int

    def tasks(self) -> set[str]:
        """Ids of the tasks that still hold a current source."""
        return set(self.rows["task_id"].to_pylist())


def read_plan(store: Store) -> Plan:
    """All plan parts, in order; a later row of the same video_id supersedes an earlier one."""
    names = store.names(PLAN_DIR, ".parquet")
    tables = [read_parquet(store, f"{PLAN_DIR}/{name}").cast(PLAN_SCHEMA) for name in names]
    if not tables:
        return Plan(PLAN_SCHEMA.empty_table(), 0)
    rows = pa.concat_tables(tables)
    newest: dict[str, int] = {video: row for row, video in enumerate(rows["video_id"].to_pylist())}
    return Plan(rows.take(pa.array(sorted(newest.values()), pa.int64())), len(names))


def committed_tasks(store: Store) -> set[str]:
    """Ids of the tasks whose videos object, the commit, exists."""
    return {name.removesuffix(".parquet") for name in store.names(VIDEOS_DIR, ".parquet")}


def read_videos(store: Store) -> pa.Table:
    """One row a current, committed source.

    A source that changed since has an older row in an older task; the plan tells which (uri, etag) is current.
    """
    plan = read_plan(store)
    current = dict(zip(plan.rows["video_id"].to_pylist(), plan.rows["task_id"].to_pylist(), strict=True))
    tasks = sorted(committed_tasks(store) & plan.tasks())
    tables = [read_parquet(store, f"{VIDEOS_DIR}/{task}.parquet").cast(VIDEOS_SCHEMA) for task in tasks]
    if not tables:
        return VIDEOS_SCHEMA.empty_table()
    rows = pa.concat_tables(tables)
    pairs = zip(rows["video_id"].to_pylist(), rows["task_id"].to_pylist(), strict=True)
    return rows.filter(pa.array([current.get(video) == task for video, task in pairs], pa.bool_()))


def iter_clips(store: Store, model_id: str) -> Iterator[pa.Table]:
    """The clips of current, committed sources, a task at a time.

    Args:
        store: the tables.
        model_id: the model that all rows must come from.

    Raises:
        StorageError: a committed task whose clips object is missing, or of another model.
    """
    plan = read_plan(store)
    tasks = committed_tasks(store)
    by_task: dict[str, list[str]] = {}
    for video, task in zip(plan.rows["video_id"].to_pylist(), plan.rows["task_id"].to_pylist(), strict=True):
        if task in tasks:
            by_task.setdefault(task, []).append(video)
    for task in sorted(by_task):
        table = read_parquet(store, f"{CLIPS_DIR}/{task}.parquet")
        found = (table.schema.metadata or {}).get(b"model_id", b"").decode()
        if found != model_id:
            name = store.path(f"{CLIPS_DIR}/{task}.parquet")
            raise StorageError(f"{name} is of model {found!r}, the tables are of {model_id!r}: mixed tables")
        yield table.filter(pc.is_in(table["video_id"], pa.array(by_task[task])))
