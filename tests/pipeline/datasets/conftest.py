"""A folder that tests fill in the published layout."""

import json

import pytest


class SetFolder:
    """A folder of a set; what is written is relative to it."""

    def __init__(self, root):
        self.root = root

    def text(self, name, *lines):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def json(self, name, content):
        self.text(name, json.dumps(content))

    def videos(self, *names):
        for name in names:
            path = self.root / "videos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def spec(self, name):
        return f"{name}:{self.root}"


@pytest.fixture
def folder(tmp_path):
    """An empty folder to fill."""
    return SetFolder(tmp_path)


@pytest.fixture
def texts():
    """What a split says: each video's texts."""

    def of(opened):
        found = {}
        for caption in opened.captions:
            found.setdefault(caption.key, []).append(caption.text)
        return found

    return of
