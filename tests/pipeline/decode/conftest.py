import functools
from pathlib import Path

import pytest

from tests.barcode_video import write_video


@pytest.fixture(scope="session")
def make(tmp_path_factory):
    """A maker of videos by file name and traits; each is made once, and is not to be changed."""
    folder = tmp_path_factory.mktemp("videos")

    @functools.cache
    def cached(name, traits):
        place = folder / str(abs(hash(traits)))
        place.mkdir(exist_ok=True)
        options = {key: dict(value) if key.endswith("options") else value for key, value in traits}
        return write_video(place / name, **options)

    def maker(name: str, **traits) -> Path:
        items = ((key, tuple(value.items()) if isinstance(value, dict) else value) for key, value in traits.items())
        return cached(name, tuple(sorted(items)))

    return maker


@pytest.fixture(scope="session")
def plain(make):
    """An ordinary mp4 of 60 frames, 25 a second."""
    return make("plain.mp4")
