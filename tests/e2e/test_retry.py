"""A source that a limit kept out is retried as a user does it, and the tables verify."""

from pipeline.retry import retry
from pipeline.status import status_of
from pipeline.storage import Store
from pipeline.verify.run import verify
from schemas.config import RetryConfig, VerifyConfig
from tests.e2e.cli import run
from tests.e2e.tables_view import TablesView
from tests.media import make_video


def test_a_retried_source_is_done_in_its_second_attempt_and_nothing_else_changes(tmp_path):
    videos, tables = tmp_path / "videos", tmp_path / "tables"
    videos.mkdir()
    small = make_video(videos / "small.mp4", seed=1)
    make_video(videos / "large.mp4", seed=2, num_frames=96)
    limit = small.stat().st_size
    args = ("--input", videos, "--tables", tables, "--json")
    first = run("extract", *args, "--set", f"max_source_bytes={limit}", "--set", "videos_per_task=2")
    assert (first.code, first.json["reasons"]) == (3, {"too_large": 1})
    before = TablesView(tables).digests()

    # The short jobs run in this process: only the extractions need one of their own.
    assert retry(RetryConfig(tables=str(tables))).retried == 1
    status = status_of(Store(str(tables)))
    assert (status.planned, status.done, status.quarantined, status.pending) == (2, 1, 0, 1)
    (problem,) = verify(VerifyConfig(tables=str(tables))).problems
    assert "1 planned sources" in problem
    assert "large.mp4" in problem

    second = run("extract", *args)
    assert (second.code, second.json["processed"], second.json["done"], second.json["clips"]) == (0, 1, 2, 2)
    rows = {(row["uri"].rsplit("/", 1)[-1], row["status"]): row["attempt"] for row in TablesView(tables).rows("videos")}
    assert rows == {("small.mp4", "done"): 1, ("large.mp4", "quarantined"): 1, ("large.mp4", "done"): 2}
    after = TablesView(tables).digests()
    assert {name: after[name] for name in before} == before
    whole = verify(VerifyConfig(tables=str(tables)))
    assert (whole.ok, whole.problems, whole.orphans) == (True, [], [])
