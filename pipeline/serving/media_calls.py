"""The deployment of videos and pictures, as the ingress asks for them."""

from typing import Any

from pipeline.serving.calls import call
from pipeline.serving.replicas.media import Still
from pipeline.serving.replicas.media_files import MediaFile


class MediaCalls:
    """`MediaSource` in another process.

    Args:
        media: handle of `Media`.
    """

    def __init__(self, media: Any) -> None:
        self._media = media

    async def stat(self, uri: str) -> MediaFile | None:
        """A file's facts."""
        found: MediaFile | None = await call(self._media.stat, uri)
        return found

    async def read(self, uri: str, start: int, count: int) -> bytes | None:
        """Bytes of a file."""
        piece: bytes | None = await call(self._media.read, uri, start, count)
        return piece

    async def still(self, uri: str, time_s: float) -> Still:
        """A picture."""
        made: Still = await call(self._media.still, uri, time_s)
        return made
