"""The queries that ARCHITECTURE.md gives to people run, on tables of the real schemas."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.tables import write_parquet
from schemas.tables import PLAN_SCHEMA, VIDEOS_SCHEMA, TokenShape, clips_schema

ROOT = Path(__file__).resolve().parents[1]
SHAPE = TokenShape(frames=2, patches=3, dim=4)
TEXT = (ROOT / "ARCHITECTURE.md").read_text()


def fill(schema, **given):
    """One row of a schema: the given columns, and something of the right type in the others."""
    row = {}
    for field in schema:
        empty = b"\0" * field.type.byte_width if pa.types.is_fixed_size_binary(field.type) else None
        if pa.types.is_fixed_size_list(field.type):
            empty = [1] * field.type.list_size
        elif pa.types.is_list(field.type):
            empty = [0.0]
        elif pa.types.is_string(field.type):
            empty = "x"
        elif empty is None:
            empty = 1
        row[field.name] = given.get(field.name, empty)
    return row


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Two committed videos with a clip each, a quarantined one, and clips of a task without a commit.

    The first video was planned before, in a task of its own that stays behind.
    """
    monkeypatch.chdir(tmp_path)
    clips = clips_schema(SHAPE, "m")
    rows = [fill(clips, video_id=video, clip_id=f"c-{video}", uri=f"{video}.mp4") for video in ("a", "b", "lost")]
    states = [("a", "done", None), ("b", "done", None), ("bad", "quarantined", "timeout")]
    videos = [
        fill(VIDEOS_SCHEMA, video_id=video, task_id="t1", status=status, reason=reason)
        for video, status, reason in states
    ]
    before = fill(VIDEOS_SCHEMA, video_id="a", task_id="t0", status="quarantined", reason="crash", uri="old.mp4")
    plan = [fill(PLAN_SCHEMA, video_id=video, task_id="t1") for video, *_ in states]
    for name, table in [
        ("clips/t1", pa.Table.from_pylist(rows[:2], clips)),
        ("clips/t2", pa.Table.from_pylist(rows[2:], clips)),
        ("videos/t1", pa.Table.from_pylist(videos, VIDEOS_SCHEMA)),
        ("videos/t0", pa.Table.from_pylist([before], VIDEOS_SCHEMA)),
        ("clips/t0", pa.Table.from_pylist(rows[:1], clips)),
        ("plan/part-00000", pa.Table.from_pylist([fill(PLAN_SCHEMA, video_id="a", task_id="t0")], PLAN_SCHEMA)),
        ("plan/part-00001", pa.Table.from_pylist(plan, PLAN_SCHEMA)),
    ]:
        path = tmp_path / "tables" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write_parquet(table))
    return tmp_path / "tables"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_the_duckdb_queries_answer(tables):
    import duckdb

    (block,) = blocks("sql")
    view, *queries = (query for query in block.split(";") if query.strip())
    duckdb.sql(view)
    summary, refused, similar = (duckdb.sql(query).fetchall() for query in queries)
    assert [row[:3] for row in summary] == [("done", None, 2), ("quarantined", "timeout", 1)]
    assert refused == [("x", "timeout", "x")]
    assert [row[:2] for row in similar] == [("a.mp4", "b.mp4")], "clips without a commit must not show"


def test_the_pyarrow_snippet_gives_tokens(tables):
    (block,) = blocks("python")
    names = {}
    exec(block, names)
    assert names["tokens"].shape == (4, SHAPE.frames, SHAPE.dim)
    assert names["tokens"].dtype == np.float16
    assert pq.read_schema(tables / "clips" / "t1.parquet").metadata[b"model_id"] == b"m"


def test_every_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    section = TEXT.split("## Dependencies")[1].split("## ")[0]
    extras = project["optional-dependencies"]
    wanted = [line.split(">=")[0] for line in [*project["dependencies"], *extras["dev"], *extras["bench"]]]
    assert [name for name in wanted if f"{name}," not in section and f"{name} " not in section] == []
