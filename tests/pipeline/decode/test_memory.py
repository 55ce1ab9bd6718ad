from types import SimpleNamespace

import av
import pytest

from pipeline.decode.memory import check_size
from pipeline.decode.probe import probe
from schemas.errors import BadVideoError


def header(width, height, name="yuv420p"):
    return SimpleNamespace(width=width, height=height, format=av.VideoFormat(name, width, height))


def test_pictures_that_cannot_fit_are_refused_with_the_figures():
    with pytest.raises(BadVideoError) as caught:
        check_size(header(7680, 4320), 300 << 20)
    assert caught.value.reason == "too_large"
    assert caught.value.detail == "pictures of 7680 x 4320 need 379 MiB at the least, above 300 MiB"
    check_size(header(7680, 4320), 400 << 20)
    with pytest.raises(BadVideoError):
        check_size(header(7680, 4320, "yuv420p10le"), 400 << 20)


def test_no_limit_and_a_header_without_a_size_refuse_nothing():
    assert check_size(header(7680, 4320), 0) is None
    assert check_size(SimpleNamespace(width=0, height=0, format=None), 1 << 20) is None


def test_a_file_is_refused_before_a_picture_is_decoded(plain, monkeypatch):
    monkeypatch.setattr("pipeline.decode.probe._try_decode", lambda _: pytest.fail("a picture was decoded"))
    with pytest.raises(BadVideoError, match="at the least"):
        probe(str(plain), memory_bytes=1000)
