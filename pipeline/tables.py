"""Readers of TABLES: only committed tasks count, and of a source planned twice only the newest plan."""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from pipeline.folder_kinds import refuse_index
from pipeline.storage import Store
from schemas.errors import StorageError
from schemas.tables import (
    CLIPS_DIR,
    NEWER_COLUMNS,
    PLAN_DIR,
    PLAN_SCHEMA,
    TABLES_INFO,
    VIDEOS_DIR,
    VIDEOS_SCHEMA,
    TablesInfo,
)

_PART = re.compile(r"part-(\d{5,})\.parquet")


def write_parquet(table: pa.Table) -> bytes:
    """A table as Parquet bytes; the same table gives the same bytes."""
    sink = io.BytesIO()
    # Token columns are near-random bits: dictionaries and byte statistics would only cost. A checksum a page lets
    # a reader see a flipped bit, which would pass for a number.
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    return sink.getvalue()


def read_parquet(store: Store, name: str, columns: list[str] | None = None) -> pa.Table:
    """One Parquet object.

    Args:
        store: where.
        name: of the object.
        columns: to keep; None for all.

    Raises:
        StorageError: missing, unreadable, or not Parquet.
    """
    data = store.read(name)
    try:
        return pq.read_table(io.BytesIO(data), columns=columns)
    except (pa.ArrowException, OSError) as error:
        # A page that does not unpack is an OSError of Arrow's; the bytes themselves are in memory by now.
        raise StorageError(f"{store.path(name)} is not Parquet: {error}") from None


def read_columns(store: Store, name: str, columns: list[str]) -> pa.Table:
    """Some columns of a Parquet object, without reading the others.

    Raises:
        StorageError: missing, unreadable, or not Parquet.
    """
    try:
        return store.read_with(name, lambda file: pq.ParquetFile(file, pre_buffer=True).read(columns=columns))
    except pa.ArrowException as error:
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
        refuse_index(store)
        raise StorageError(f"{store.root} holds no tables: run 'reelsift extract --tables {store.root}' first")
    return info


@dataclass(frozen=True)
class Plan:
    """The current plan: the newest row of each source, and the number of the part that would follow."""

    rows: pa.Table
    next_part: int

    def tasks(self) -> set[str]:
        """Ids of the tasks that still hold a current source."""
        return set(self.rows["task_id"].to_pylist())


def read_plan(store: Store) -> Plan:
    """All plan parts, in order; a later row of the same video_id supersedes an earlier one."""
    names = store.names(PLAN_DIR, ".parquet")
    return current_plan([read_plan_part(store, name) for name in names], names)


def read_plan_part(store: Store, name: str) -> pa.Table:
    """One part of the plan, as PLAN_SCHEMA.

    Raises:
        StorageError: unreadable, or other columns.
    """
    table = read_parquet(store, f"{PLAN_DIR}/{name}")
    if "attempt" not in table.schema.names:
        # Written before sources could be retried.
        table = table.append_column("attempt", pa.array([1] * len(table), pa.int32()))
    try:
        return table.cast(PLAN_SCHEMA)
    except (pa.ArrowException, ValueError) as error:
        raise StorageError(f"{store.path(f'{PLAN_DIR}/{name}')} is no plan: {error}") from None


def current_plan(parts: list[pa.Table], names: list[str]) -> Plan:
    """The current plan of all parts, which stand in order."""
    numbers = [int(match[1]) for match in map(_PART.fullmatch, names) if match]
    next_part = max(numbers, default=-1) + 1
    if not parts:
        return Plan(PLAN_SCHEMA.empty_table(), next_part)
    rows = pa.concat_tables(parts)
    newest: dict[str, int] = {video: row for row, video in enumerate(rows["video_id"].to_pylist())}
    return Plan(rows.take(pa.array(sorted(newest.values()), pa.int64())), next_part)


def part_name(number: int) -> str:
    """The name of a part of the plan.

    >>> part_name(3)
    'part-00003.parquet'
    """
    return f"part-{number:05d}.parquet"


def append_plan(store: Store, plan: Plan, rows: pa.Table) -> bool:
    """Add a part behind those that `plan` was read from.

    Returns:
        whether it was added; if not, another process was faster: read the plan again, and think again.

    Raises:
        StorageError: the location refuses; the plan is as it was.
    """
    return store.create(f"{PLAN_DIR}/{part_name(plan.next_part)}", write_parquet(rows))


def committed_tasks(store: Store) -> set[str]:
    """Ids of the tasks whose videos object, the commit, exists."""
    return {name.removesuffix(".parquet") for name in store.names(VIDEOS_DIR, ".parquet")}


def read_videos(store: Store, plan: Plan | None = None) -> pa.Table:
    """One row a current, committed source.

    A source that changed or was retried since has an older row in an older task; the plan tells which is current.

    Args:
        store: the tables.
        plan: the current plan, if it is read already.
    """
    plan = plan or read_plan(store)
    current = dict(zip(plan.rows["video_id"].to_pylist(), plan.rows["task_id"].to_pylist(), strict=True))
    tasks = sorted(committed_tasks(store) & plan.tasks())
    tables = [read_commit(store, task) for task in tasks]
    if not tables:
        return VIDEOS_SCHEMA.empty_table()
    rows = pa.concat_tables(tables)
    pairs = zip(rows["video_id"].to_pylist(), rows["task_id"].to_pylist(), strict=True)
    return rows.filter(pa.array([current.get(video) == task for video, task in pairs], pa.bool_()))


def read_commit(store: Store, task: str) -> pa.Table:
    """The videos object of a committed task, as VIDEOS_SCHEMA.

    Raises:
        StorageError: unreadable, or other columns.
    """
    name = f"{VIDEOS_DIR}/{task}.parquet"
    table = read_parquet(store, name)
    for column in NEWER_COLUMNS:
        if column not in table.schema.names:
            table = table.append_column(column, pa.nulls(len(table), VIDEOS_SCHEMA.field(column).type))
    try:
        return table.cast(VIDEOS_SCHEMA)
    except (pa.ArrowException, ValueError) as error:
        raise StorageError(f"{store.path(name)} is no commit: {error}") from None


def clips_names(task: str, objects: int = 1) -> list[str]:
    """The objects that hold the clips of a task.

    >>> clips_names("t1"), clips_names("t1", 2)
    (['clips/t1.parquet'], ['clips/t1.1-of-2.parquet', 'clips/t1.2-of-2.parquet'])
    """
    if objects == 1:
        return [f"{CLIPS_DIR}/{task}.parquet"]
    return [f"{CLIPS_DIR}/{task}.{number}-of-{objects}.parquet" for number in range(1, objects + 1)]


def clip_objects(commit: pa.Table) -> int:
    """How many objects hold the clips of a task, by its commit."""
    return int(pc.max(commit["clip_objects"]).as_py() or 1)


def task_of_clips(name: str) -> str:
    """The task whose clips an object holds, by its name within its folder.

    >>> task_of_clips("t1.parquet"), task_of_clips("t1.2-of-7.parquet")
    ('t1', 't1')
    """
    return name.partition(".")[0]


def iter_clips(store: Store, model_id: str, by_task: Mapping[str, list[str]] | None = None) -> Iterator[pa.Table]:
    """The clips of current, committed sources, an object at a time.

    Args:
        store: the tables.
        model_id: the model that all rows must come from.
        by_task: the tasks, and the videos of each, that are wanted; None for all `current_videos`.

    Raises:
        StorageError: a committed task whose clips object is missing, or of another model.
    """
    by_task = current_videos(store) if by_task is None else by_task
    for task in sorted(by_task):
        yield from iter_task_clips(store, task, by_task[task], model_id)


def current_videos(store: Store) -> dict[str, list[str]]:
    """The committed tasks that hold current sources, each with their video ids."""
    plan = read_plan(store)
    tasks = committed_tasks(store)
    by_task: dict[str, list[str]] = {}
    for video, task in zip(plan.rows["video_id"].to_pylist(), plan.rows["task_id"].to_pylist(), strict=True):
        if task in tasks:
            by_task.setdefault(task, []).append(video)
    return by_task


def iter_task_clips(
    store: Store, task: str, videos: list[str], model_id: str, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """The clips of some videos of one task, an object at a time: one, but of a long video.

    Args:
        store: the tables.
        task: a committed one.
        videos: by their ids.
        model_id: the model that all rows must come from.
        columns: to keep, `video_id` among them; None for all.

    Raises:
        StorageError: the clips object is missing, or of another model.
    """
    for name in clips_names(task, clip_objects(read_commit(store, task))):
        table = read_parquet(store, name, columns)
        found = (table.schema.metadata or {}).get(b"model_id", b"").decode()
        if found != model_id:
            raise StorageError(
                f"{store.path(name)} is of model {found!r}, the tables are of {model_id!r}: mixed tables"
            )
        yield table.filter(pc.is_in(table["video_id"], pa.array(videos)))
