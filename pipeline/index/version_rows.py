"""The rows of one version in Milvus, found by their videos and removed."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from pipeline.index.vector_store import VectorStore
from schemas.errors import VectorStoreError
from schemas.manifest import LITE, VersionManifest

_T = TypeVar("_T")
# A message to Milvus has a largest size: a video may have thousands of clips, and a clip dozens of frames.
_VIDEOS: Final = 20
_CLIPS: Final = 500
_WINDOW: Final = 10_000
# A search may see a server as it was five seconds ago (`common.gracefulTime`), and a tick of its clock.
_STALE_S: Final = 6.0
_GONE_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.5


@dataclass(frozen=True)
class ClipRow:
    """A clip, its video, and where its record is."""

    clip_id: str
    video_id: str
    shard: int
    row: int


class VersionRows:
    """What a version has in Milvus.

    Args:
        vectors: the Milvus that the version names.
        manifest: the version.
    """

    def __init__(self, vectors: VectorStore, manifest: VersionManifest) -> None:
        self._vectors = vectors
        self._manifest = manifest

    def of_videos(self, video_ids: Sequence[str]) -> Iterator[ClipRow]:
        """The clips of these videos.

        Raises:
            VectorStoreError: Milvus is away, or has no such collection.
        """
        for some in _parts(video_ids, _VIDEOS):
            expression = f"video_id in {json.dumps(some)}"
            yield from self._clips(expression)

    def remove(self, clip_ids: Sequence[str]) -> None:
        """Remove clips and their frames; what is gone already is no error. The frames first: they name the clips."""
        frames = self._manifest.frames
        numbers = range(self._manifest.token_shape.frames)
        for some in _parts(clip_ids, _CLIPS):
            if frames:
                self._vectors.delete(frames.collection, [f"{clip}:{number}" for clip in some for number in numbers])
            self._vectors.delete(self._manifest.collection, some)
        if clip_ids:
            self.flush()

    def remove_uncovered(self) -> None:
        """Remove what an update that was killed has written: rows that lead behind the shards of the manifest."""
        expression = f"shard >= {len(self._manifest.shards)}"
        while found := [row.clip_id for row in self._clips(expression, _WINDOW)]:
            self.remove(found)

    def flush(self) -> None:
        """Make it all durable."""
        for collection in self._collections():
            self._vectors.flush(collection)

    def wait_until_gone(self, clip_ids: Sequence[str]) -> None:
        """Return when no search finds these clips any more, not even one that may see the server of a moment ago.

        Raises:
            VectorStoreError: they are still there after a minute.
        """
        if not clip_ids:
            return
        if self._manifest.milvus != LITE:
            time.sleep(_STALE_S)
        deadline = time.monotonic() + _GONE_WITHIN_S
        for some in _parts(clip_ids, _CLIPS):
            while self._vectors.addresses(self._manifest.collection, some):
                if time.monotonic() > deadline:
                    raise VectorStoreError(
                        f"Milvus ({self._vectors.place}) still answers with clips that were deleted: run the same "
                        "command again"
                    )
                time.sleep(_POLL_S)

    def _clips(self, expression: str, limit: int | None = None) -> list[ClipRow]:
        columns = ["clip_id", "video_id", "shard", "row"]
        rows = self._vectors.rows(self._manifest.collection, expression, columns, limit)
        return [ClipRow(row["clip_id"], row["video_id"], int(row["shard"]), int(row["row"])) for row in rows]

    def _collections(self) -> list[str]:
        frames = self._manifest.frames
        return [self._manifest.collection, *([frames.collection] if frames else [])]


def _parts(items: Sequence[_T], size: int) -> Iterator[list[_T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
