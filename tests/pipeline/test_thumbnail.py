import av
import numpy as np
import pytest

from pipeline.contact_sheet import contact_sheet
from pipeline.thumbnail import frame_at
from schemas.errors import BadVideoError
from schemas.results import SearchHit, SearchResult
from tests.media import make_video


def test_the_picture_is_the_one_shown_at_that_time(tmp_path):
    path = make_video(tmp_path / "a.mp4", num_frames=24, fps=12)
    shown = [np.asarray(frame_at(str(path), n / 12, 96), np.int16) for n in (0, 6, 23)]
    assert abs(shown[0] - shown[1]).mean() > 3
    between = np.asarray(frame_at(str(path), 6.4 / 12, 96), np.int16)
    assert abs(between - shown[1]).max() == 0
    beyond = np.asarray(frame_at(str(path), 99, 96), np.int16)
    assert abs(beyond - shown[2]).max() == 0
    assert frame_at(str(path), 0, 48).size == (48, 32)


class CannotSeek:
    """A container as Matroska without an index is: it refuses even to go back to its start."""

    def __init__(self, container):
        self._container = container
        self.streams, self.decode = container.streams, container.decode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._container.close()

    def seek(self, *_, **__):
        raise av.error.PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("time_s", [0, 1, 7.3])
def test_a_container_that_cannot_seek_is_decoded_from_its_start(tmp_path, monkeypatch, time_s):
    path = str(make_video(tmp_path / "a.mkv", num_frames=96, fps=12))
    wanted = np.asarray(frame_at(path, time_s, 96))
    opened = av.open
    monkeypatch.setattr("pipeline.thumbnail.av.open", lambda *args, **more: CannotSeek(opened(*args, **more)))
    assert (np.asarray(frame_at(path, time_s, 96)) == wanted).all()


def test_what_does_not_decode_is_a_bad_video(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"nothing")
    with pytest.raises(BadVideoError):
        frame_at(str(path), 0, 48)


def test_a_sheet_shows_the_reason_where_a_picture_fails():
    def fail(hit, side_px):
        raise BadVideoError("missing", "gone")

    hit = SearchHit(
        rank=1, clip_id="c", video_id="v", uri="a.mp4", start_s=0, end_s=1, best_s=None, score=1, coarse_score=1,
        stage="coarse",
    )  # fmt: skip
    result = SearchResult(query="q" * 500, version=1, recall="coarse", hits=[hit], timings_ms={}, degraded=[])
    sheet = contact_sheet([result], fail, columns=2)
    assert len(sheet.getcolors()) > 3
