"""The videos that a run could not use: each named once, with its reason."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from pipeline.datasets.dataset import CaptionedVideos

BAD_VIDEOS = "bad_videos.jsonl"


@dataclass(frozen=True, order=True)
class BadVideo:
    """A video that cannot be used.

    Attributes:
        key: its name in the set.
        reason: as in the tables of extraction; "missing" where there is no file.
        detail: in words.
    """

    key: str
    reason: str
    detail: str


def without_file(dataset: CaptionedVideos) -> list[BadVideo]:
    """The videos of a split that are not there."""
    return [BadVideo(key, "missing", f"no file; named by {dataset.name} {dataset.split}") for key in dataset.missing]


def as_lines(videos: Iterable[BadVideo]) -> bytes:
    r"""JSON lines, sorted.

    >>> as_lines([BadVideo("b", "crash", "x"), BadVideo("a", "empty", "0 bytes")]).splitlines()[0]
    b'{"key": "a", "reason": "empty", "detail": "0 bytes"}'
    """
    return "".join(f"{json.dumps(asdict(video), ensure_ascii=False)}\n" for video in sorted(videos)).encode()
