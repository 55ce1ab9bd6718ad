"""Identities, computed from what they name and never generated, so that a retry writes the same names."""

import hashlib
from collections.abc import Iterable

_DIGEST_BYTES = 10


def _digest(kind: str, *parts: str) -> str:
    # The length prefix keeps ("ab", "c") and ("a", "bc") apart.
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return f"{kind}{hashlib.blake2b(joined.encode(), digest_size=_DIGEST_BYTES).hexdigest()}"


def video_id(uri: str) -> str:
    """Identity of a source video: a function of its URI alone.

    >>> video_id("s3://bucket/a.mp4") == video_id("s3://bucket/a.mp4")
    True
    >>> len(video_id("a"))
    21
    """
    return _digest("v", uri)


def clip_id(video: str, start_s: float, end_s: float) -> str:
    """Identity of a clip: its video and its span in whole milliseconds.

    >>> clip_id("v1", 0.0, 1.0) == clip_id("v1", 0.0, 1.0004)
    True
    >>> clip_id("v1", 0.0, 1.0) == clip_id("v1", 0.0, 1.002)
    False
    """
    return _digest("c", video, str(round(start_s * 1000)), str(round(end_s * 1000)))


def task_id(sources: Iterable[tuple[str, str]]) -> str:
    """Identity of a task: the (video_id, etag) pairs of its sources, in order.

    >>> task_id([("v1", "e1")]) == task_id([("v1", "e2")])
    False
    """
    return _digest("t", *(part for pair in sources for part in pair))
