"""Changes to single objects of tables, as faults or other programs make them."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.tables import write_parquet


def tasks(store):
    """Ids of the committed tasks, in order."""
    return [name.removesuffix(".parquet") for name in store.names("videos")]


def rows_of(store, name):
    """The schema and the rows of an object."""
    table = pq.read_table(io.BytesIO(store.read(name)))
    return table.schema, table.to_pylist()


def change_rows(store, name, change):
    """Write an object anew with `change(rows)`, which returns rows or changes them in place."""
    schema, rows = rows_of(store, name)
    changed = change(rows)
    store.write(name, write_parquet(pa.Table.from_pylist(rows if changed is None else changed, schema)))


def change_row(store, name, row=0, **columns):
    """Give columns of a row other values."""
    change_rows(store, name, lambda rows: rows[row].update(columns))


def quarantine(store, task, row, reason):
    """A source of a committed task ended in quarantine, and its clips were never stored."""
    _, videos = rows_of(store, f"videos/{task}.parquet")
    video = videos[row]["video_id"]
    change_row(
        store, f"videos/{task}.parquet", row, status="quarantined", reason=reason, detail=reason, clip_count=0,
        duration_s=None,
    )  # fmt: skip
    change_rows(store, f"clips/{task}.parquet", lambda rows: [clip for clip in rows if clip["video_id"] != video])
    return video
