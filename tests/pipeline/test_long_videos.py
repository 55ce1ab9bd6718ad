"""A video that is too much for one worker is done in parts, and nobody sees that in the tables."""

import json

import pytest

from pipeline.erase import clips_of, erase
from pipeline.long_videos import merged
from pipeline.storage import Store
from pipeline.tables import current_videos, iter_clips, read_videos, require_info
from pipeline.verify.run import verify
from schemas.config import VerifyConfig
from schemas.ids import video_id
from tests.barcode_video import damage, write_video
from tests.e2e.tables_view import TablesView, assert_same_clips
from tests.graph import Graph, KilledError
from tests.media import make_video

CLIPS, FPS = 40, 4
# Of the model's twelve frames a clip here has four, but how many there are is told by the header alone.
SIX_CLIPS = 6 * 210_000


@pytest.fixture
def graph(monkeypatch):
    return Graph(monkeypatch)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A long video beside a short one."""
    folder = tmp_path_factory.mktemp("long")
    write_video(folder / "long.mp4", num_frames=CLIPS * FPS, fps=FPS, size=(64, 48), gop=100)
    make_video(folder / "short.mp4")
    return folder


@pytest.fixture(scope="module")
def whole(videos, tmp_path_factory):
    """Tables of a run that need not cut anything."""
    tables = tmp_path_factory.mktemp("whole") / "tables"
    with pytest.MonkeyPatch.context() as monkeypatch:
        Graph(monkeypatch).run(videos, tables, clips="fixed:1")
    return TablesView(tables)


def plain(view):
    """Rows of videos without what a run measures, and how the clips are stored."""
    drop = {"decode_s", "clip_objects", "decoder_why", "task_id"}
    return {row["uri"]: {k: v for k, v in row.items() if k not in drop} for row in view.rows("videos")}


def assert_as_whole(whole, tables):
    view, store = TablesView(tables), Store(str(tables))
    assert_same_clips(whole.clips(), view.clips())
    assert plain(view) == plain(whole)
    assert not store.names("parts")
    report = verify(VerifyConfig(tables=str(tables)))
    assert (report.problems, report.orphans) == ([], [])


def test_parts_hold_the_same_rows_and_no_more_than_a_worker_may(graph, videos, whole, tmp_path):
    graph.task_bytes = SIX_CLIPS
    summary = graph.run(videos, tmp_path, clips="fixed:1")
    assert (summary.done, summary.processed, summary.clips) == (2, 2, CLIPS + 2)
    assert_as_whole(whole, tmp_path)
    store = Store(str(tmp_path))
    objects = list(iter_clips(store, require_info(store).model_id))
    assert max(map(len, objects)) <= 6
    assert len(objects) >= 1 + CLIPS / 6
    assert graph.run(videos, tmp_path, clips="fixed:1").processed == 0


def test_killed_between_parts_a_rerun_does_the_others_only(graph, videos, whole, tmp_path):
    graph.task_bytes, graph.kill_after = SIX_CLIPS, 4
    with pytest.raises(KilledError):
        graph.run(videos, tmp_path, clips="fixed:1")
    (pending,) = verify(VerifyConfig(tables=str(tmp_path))).problems
    assert "1 planned sources" in pending
    graph.kill_after = None
    assert graph.run(videos, tmp_path, clips="fixed:1").processed == 1
    numbers = [json.loads(row["part"])["number"] for row in graph.decoded]
    assert numbers[0] == 5
    assert numbers == sorted(numbers)
    assert_as_whole(whole, tmp_path)


@pytest.mark.parametrize("change", [2, 4, 9, 11], ids=["the cut", "a part's row", "the commit", "clearing away"])
def test_killed_before_any_kind_of_write_a_rerun_ends_it(graph, videos, whole, tmp_path, change, monkeypatch):
    graph.task_bytes = 15 * 210_000
    count = 0

    def counted(real):
        def counting(self, name, *data):
            nonlocal count
            if name.startswith(("parts/", "videos/")) or "-of-" in name:
                count += 1
                if count == change:
                    raise KilledError
            return real(self, name, *data)

        return counting

    with monkeypatch.context() as patch:
        for name in ("write", "delete"):
            patch.setattr(Store, name, counted(getattr(Store, name)))
        with pytest.raises(KilledError):
            graph.run(videos, tmp_path, clips="fixed:1")
    graph.run(videos, tmp_path, clips="fixed:1")
    assert_same_clips(whole.clips(), TablesView(tmp_path).clips())
    assert plain(TablesView(tmp_path)) == plain(whole)
    assert verify(VerifyConfig(tables=str(tmp_path))).ok


def test_a_cut_that_is_too_coarse_for_this_run_is_made_finer(graph, videos, whole, tmp_path):
    graph.task_bytes, graph.kill_after = 15 * 210_000, 2
    with pytest.raises(KilledError):
        graph.run(videos, tmp_path, clips="fixed:1")
    graph.task_bytes, graph.kill_after = SIX_CLIPS, None
    graph.run(videos, tmp_path, clips="fixed:1")
    assert_as_whole(whole, tmp_path)


def test_scenes_are_looked_for_once(graph, tmp_path, monkeypatch):
    pytest.importorskip("scenedetect")
    folder = tmp_path / "videos"
    folder.mkdir()
    # Two pictures in turn, four seconds each.
    write_video(folder / "cuts.mp4", num_frames=32 * FPS, fps=FPS, size=(64, 48), gop=100)
    graph.run(folder, tmp_path / "whole", clips="scenes:1")
    graph.task_bytes = 2 * 210_000
    graph.run(folder, tmp_path / "parts", clips="scenes:1")
    edges = [json.loads(row["part"])["edges"] for row in graph.decoded if row["part"]]
    assert len(edges) > 1
    assert all(edges)
    assert_as_whole(TablesView(tmp_path / "whole"), tmp_path / "parts")


def test_a_video_of_which_one_part_is_broken_is_quarantined_whole(graph, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    damage(write_video(folder / "a.mp4", num_frames=CLIPS * FPS, fps=FPS, size=(64, 48), gop=20), range(60, 100))
    graph.task_bytes = SIX_CLIPS
    graph.run(folder, tmp_path / "tables", clips="fixed:1", max_bad_fraction=1.0)
    view = TablesView(tmp_path / "tables")
    assert view.statuses() == {"a.mp4": ("quarantined", "degraded")}
    assert view.clips() == {}
    report = verify(VerifyConfig(tables=view.root))
    assert (report.problems, report.orphans) == ([], [])


def test_a_long_video_is_deleted_as_any_other(graph, videos, tmp_path):
    graph.task_bytes = SIX_CLIPS
    graph.run(videos, tmp_path, clips="fixed:1")
    store, video = Store(str(tmp_path)), video_id(str(videos / "long.mp4"))
    assert clips_of(store, {video}) == CLIPS
    assert erase(store, {video}, "deleted today").clips == CLIPS
    assert {row["video_id"] for row in TablesView(tmp_path).clips().values()} == {video_id(str(videos / "short.mp4"))}
    assert verify(VerifyConfig(tables=str(tmp_path))).ok
    assert len(current_videos(store)) == len(read_videos(store)) == 2


def test_a_video_is_as_good_as_its_worst_part():
    good = {"status": "done", "reason": None, "detail": None, "clip_count": 2, "decode_s": 1.0, "clip_objects": 1}
    bad = good | {"status": "quarantined", "reason": "timeout", "detail": "slow", "clip_count": 0}
    assert merged([good], 2) is None
    assert merged([good, good], 2) == good | {"clip_count": 4, "decode_s": 2.0, "clip_objects": 2}
    assert merged([good, bad], 3) == bad | {"decode_s": 2.0}
