import os

import pytest

from pipeline.datasets.video_files import VideoFiles


@pytest.fixture
def put(tmp_path):
    def put(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return VideoFiles(tmp_path)

    return put


def test_a_video_is_found_anywhere_with_any_usual_ending(put, tmp_path):
    files = put("a.webm", "deep/er/b.MP4", "c_00.00.51.926-00.00.54.129.avi")
    for key, path in [("a", "a.webm"), ("b", "deep/er/b.MP4"), ("a.mp4", "a.webm")]:
        assert files.find([key]) == str(tmp_path / path)
    assert files.find(["c_00.00.51.926-00.00.54.129"]) == str(tmp_path / "c_00.00.51.926-00.00.54.129.avi")


def test_names_are_taken_exactly(put):
    files = put("dQw4w9WgXcQ.mp4", "a.json", ".b.mp4", "c.mp4.part")
    assert [files.find([key]) for key in ("dqw4w9wgxcq", "a", "b", ".b", "c", "")] == [None] * 6


def test_of_several_names_the_first_that_is_there_wins(put, tmp_path):
    files = put("v_a.mp4", "a.mp4")
    assert files.find(["v_a", "a"]) == str(tmp_path / "v_a.mp4")
    assert files.find(["v_b", "a"]) == str(tmp_path / "a.mp4")
    assert files.doubles == set()


def test_of_several_files_the_first_by_path_is_taken_and_told(put, tmp_path):
    files = put("z/a.mp4", "b/a.avi", "b/c.mp4")
    assert files.find(["a"]) == str(tmp_path / "b" / "a.avi")
    assert files.doubles == {"a"}


def test_linked_folders_are_followed_and_loops_end(put, tmp_path):
    put("disk/a.mp4")
    (tmp_path / "set").mkdir()
    os.symlink(tmp_path / "disk", tmp_path / "set" / "videos")
    os.symlink(tmp_path / "set", tmp_path / "set" / "self")
    assert VideoFiles(tmp_path / "set").find(["a"]) == str(tmp_path / "set" / "videos" / "a.mp4")
