"""Where the video of a key lies: one listing of a folder, asked by name."""

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.sources import filter_reason
from schemas.errors import InputError

# What a published set's videos come in. Names of clips hold dots ("..._00.00.51.926-00.00.54.129"), so only these
# endings are taken off.
_ENDINGS = frozenset(
    (
        *(".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".f4v", ".wmv", ".asf"),
        *(".3gp", ".3g2", ".ogv", ".ts", ".m2ts", ".mts", ".vob"),
    )
)


class VideoFiles:
    """The video files anywhere under a folder, by their names.

    Attributes:
        doubles: names that more than one file has; the first path in order is taken.

    Raises:
        InputError: the folder cannot be listed.
    """

    def __init__(self, folder: Path) -> None:
        self._by_stem: dict[str, str] = {}
        self._by_name: dict[str, str] = {}
        self.doubles: set[str] = set()
        for path in _listed(folder):
            name = os.path.basename(path)
            if not is_video(name) or filter_reason(name):
                continue
            self._by_name.setdefault(name, path)
            if self._by_stem.setdefault(stem(name), path) != path:
                self.doubles.add(stem(name))

    def find(self, names: Sequence[str]) -> str | None:
        """The absolute path of the first of these names that a file has, with the ending given or any other."""
        for name in names:
            path = self._by_name.get(name) or self._by_stem.get(name) or self._by_stem.get(stem(name))
            if path is not None:
                return path
        return None


def is_video(name: str) -> bool:
    """Whether a file's name ends like a video's; hidden files are none.

    >>> is_video("v_a.MP4"), is_video("v_a.json"), is_video("._v_a.mp4")
    (True, False, False)
    """
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in _ENDINGS


def stem(name: str) -> str:
    """A name without the ending of a video, if it has one.

    >>> stem("video7010.mp4"), stem("1004_Juno_00.00.32.122-00.00.34.123")
    ('video7010', '1004_Juno_00.00.32.122-00.00.34.123')
    """
    base, ending = os.path.splitext(name)
    return base if ending.lower() in _ENDINGS else name


def _listed(folder: Path) -> list[str]:
    """All files under the folder, sorted by path; links to folders are followed, each folder once."""

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot list {error.filename}: {error.strerror}; fix its permissions") from None

    paths: list[str] = []
    seen: set[str] = set()
    # Sets are often linked in from another disk, and a link may lead back up.
    for place, folders, names in os.walk(os.path.abspath(folder), onerror=refuse, followlinks=True):
        if os.path.realpath(place) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        folders.sort()
        paths += [os.path.join(place, name) for name in names]
    return sorted(paths)
