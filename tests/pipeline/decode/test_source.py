import os
import socket
import threading

import pytest
from PIL import Image

from pipeline.decode.source import check_file, open_container
from schemas.errors import BadVideoError


def refusal(work, path):
    with pytest.raises(BadVideoError) as caught:
        work(str(path))
    return caught.value.reason, caught.value.detail


def test_files_that_are_none(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.mp4").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.mp4"))
        assert refusal(check_file, tmp_path / "socket.mp4") == ("not_a_file", "a socket, no regular file")
    assert refusal(check_file, tmp_path / "pipe.mp4") == ("not_a_file", "a pipe, no regular file")
    assert refusal(check_file, tmp_path / "folder.mp4") == ("not_a_file", "a directory, no regular file")
    assert refusal(check_file, "/dev/null") == ("not_a_file", "a device, no regular file")
    assert refusal(check_file, tmp_path / "empty.mp4") == ("empty", "0 bytes")
    assert refusal(check_file, tmp_path / "gone.mp4") == ("missing", "no such file")
    assert refusal(check_file, tmp_path / "empty.mp4" / "below.mp4") == ("missing", "no such file")


def test_a_pipe_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    opened = threading.Event()

    def write():
        with (tmp_path / "pipe").open("wb"):
            opened.set()

    threading.Thread(target=write, daemon=True).start()
    refusal(check_file, tmp_path / "pipe")
    assert not opened.wait(0.2)
    with (tmp_path / "pipe").open("rb"):  # lets the writer end
        assert opened.wait(5)


def test_a_file_that_may_not_be_read(plain, monkeypatch):
    def deny(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", deny)
    assert refusal(check_file, plain) == ("unreadable", "Permission denied")


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXTINF:2,\nfile://{video}\n", "ffconcat version 1.0\nfile {name}\n", "v=0\nm=video 9 RTP/AVP 9\n"],
)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".sdp", ".nfo"])
def test_a_file_may_not_choose_what_else_is_opened(plain, tmp_path, text, suffix):
    path = tmp_path / f"list{suffix}"
    (tmp_path / plain.name).symlink_to(plain)
    path.write_text(text.format(video=plain, name=plain.name))
    assert refusal(open_container, path)[0] == "not_a_video"


def test_a_still_picture_is_no_video(tmp_path):
    path = tmp_path / "photo.mp4"
    Image.new("RGB", (64, 48)).save(path, format="JPEG")
    reason, detail = refusal(open_container, path)
    assert reason == "not_a_video"
    assert "still picture" in detail


def test_an_animated_webp_is_refused_for_what_it_is(tmp_path):
    path = tmp_path / "moving.mp4"
    first, *others = (Image.new("RGB", (64, 48), color) for color in ("red", "green", "blue"))
    first.save(path, format="WEBP", save_all=True, append_images=others)
    reason, detail = refusal(open_container, path)
    assert reason == "not_a_video"
    assert "animated ones are not decoded" in detail


@pytest.mark.parametrize(
    "name", ["a:b %03d|c.mp4", "http:x.mp4", "with space\n.mp4", b"\xff\xfe.mp4".decode(errors="surrogateescape")]
)
def test_odd_names_are_only_names(plain, tmp_path, name):
    path = os.path.join(str(tmp_path), name)
    os.link(plain, path) if os.stat(plain).st_dev == os.stat(tmp_path).st_dev else os.symlink(plain, path)
    with open_container(path) as container:
        assert container.streams.video
