"""Files of equal bytes are decoded once, and each is in the tables as if it had been decoded itself."""

import shutil

import pytest

from pipeline.erase import erase
from pipeline.storage import Store
from pipeline.verify.run import verify
from schemas.config import VerifyConfig
from schemas.errors import UsageError
from schemas.ids import clip_id, video_id
from tests.barcode_video import write_video
from tests.e2e.tables_view import TablesView
from tests.graph import Graph
from tests.media import make_video

VECTORS = ("coarse", "frames", "temporal_frames", "patches", "mask", "frame_times_s", "start_s", "end_s")


@pytest.fixture
def graph(monkeypatch):
    return Graph(monkeypatch)


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    make_video(folder / "a.mp4", num_frames=36)
    return folder


def extract(graph, videos, tables, **settings):
    return graph.run(videos, tables, clips="fixed:1", identity="content", max_bad_fraction=1.0, **settings)


def decoders(tables):
    return {row["uri"].rsplit("/")[-1]: row["decoder"] for row in TablesView(tables).rows("videos")}


def clips_of(tables, uri):
    rows = [row for row in TablesView(tables).clips().values() if row["uri"] == str(uri)]
    return sorted(rows, key=lambda row: row["start_s"])


def assert_copied(tables, first, second):
    ours, theirs = clips_of(tables, first), clips_of(tables, second)
    assert ours
    assert [{name: row[name] for name in VECTORS} for row in ours] == [
        {name: row[name] for name in VECTORS} for row in theirs
    ]
    video = video_id(str(second))
    assert [row["clip_id"] for row in theirs] == [clip_id(video, row["start_s"], row["end_s"]) for row in theirs]
    assert {row["video_id"] for row in theirs} == {video}
    report = verify(VerifyConfig(tables=str(tables)))
    assert (report.problems, report.orphans) == ([], [])


def test_a_copy_takes_the_clips_of_its_original_under_its_own_ids(graph, videos, tmp_path):
    tables = tmp_path / "tables"
    extract(graph, videos, tables)
    shutil.copy(videos / "a.mp4", videos / "b.mp4")
    make_video(videos / "c.mp4", seed=5)
    extract(graph, videos, tables, videos_per_task=8)  # copied and encoded clips in one task
    assert decoders(tables) == {"a.mp4": "decord", "b.mp4": "copy", "c.mp4": "decord"}
    assert_copied(tables, videos / "a.mp4", videos / "b.mp4")
    rows = {row["uri"].rsplit("/")[-1]: row for row in TablesView(tables).rows("videos")}
    same = ("content_sha256", "duration_s", "fps", "width", "codec", "clip_count")
    assert [rows["a.mp4"][name] for name in same] == [rows["b.mp4"][name] for name in same]


def test_a_moved_long_video_is_copied_an_object_at_a_time(graph, tmp_path):
    videos, tables = tmp_path / "videos", tmp_path / "tables"
    videos.mkdir()
    write_video(videos / "long.mp4", num_frames=120, fps=4, size=(64, 48), gop=100)
    graph.task_bytes = 8 * 210_000
    extract(graph, videos, tables)
    shutil.copy(videos / "long.mp4", videos / "moved.mp4")
    make_video(videos / "short.mp4")
    extract(graph, videos, tables, videos_per_task=8)
    assert decoders(tables)["moved.mp4"] == "copy"
    assert len(list((tables / "clips").glob("*-of-*"))) == 2 * 4
    assert_copied(tables, videos / "long.mp4", videos / "moved.mp4")


@pytest.mark.parametrize("lost", ["erased", "clips", "note"])
def test_an_original_that_is_not_whole_any_more_is_not_used(graph, videos, tmp_path, lost):
    store = Store(str(tmp_path / "tables"))
    extract(graph, videos, store.root)
    task = store.names("videos")[0]
    if lost == "erased":
        erase(store, {video_id(str(videos / "a.mp4"))}, "deleted today")
    elif lost == "note":
        for path in (tmp_path / "tables" / "contents").rglob("*.json"):
            path.write_text("[]")
    else:
        store.delete(f"clips/{task}")
    shutil.copy(videos / "a.mp4", videos / "b.mp4")
    assert extract(graph, videos, store.root).processed == 1
    assert decoders(store.root)["b.mp4"] == "decord"


def test_tables_keep_to_one_identity_and_bad_files_are_bad_twice(graph, videos, tmp_path):
    tables = tmp_path / "tables"
    (videos / "bad.mp4").write_bytes(b"no video")
    extract(graph, videos, tables)
    shutil.copy(videos / "bad.mp4", videos / "bad2.mp4")
    extract(graph, videos, tables)
    assert TablesView(tables).statuses()["bad2.mp4"] == ("quarantined", "not_a_video")
    with pytest.raises(UsageError, match="identity = content, you asked for uri"):
        graph.run(videos, tables, clips="fixed:1")
