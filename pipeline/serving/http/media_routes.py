"""Paths of clips' videos and pictures: only of clips of the published version, and only by signed addresses."""

from collections.abc import AsyncIterator
from typing import Annotated, Protocol

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from pipeline.serving.backend import Backend
from pipeline.serving.errors import FailureError, failure
from pipeline.serving.http.byte_range import ByteRange, UnsatisfiableError, wanted_range
from pipeline.serving.http.error_answers import NO_SUCH_CLIP, answer, described
from pipeline.serving.http.search_routes import ClipId
from pipeline.serving.http.signed_links import MEDIA, THUMBNAILS, Links, is_over
from pipeline.serving.limits.bounded_cache import BoundedCache
from pipeline.serving.replicas.media import MAX_READ_BYTES, Still
from pipeline.serving.replicas.media_files import MediaFile
from pipeline.serving.telemetry.metrics import Metrics

# A player that is paused keeps its connection; a part that ends frees the place, and the player asks for the next.
MAX_PART_BYTES = 8 << 20
MAX_AT_ONCE = 32
_PLACES = 4096
_KEEP = "private, max-age=3600"
_Expires = Annotated[int, Query(ge=0, le=1 << 40, description="As the address says.")]
_Signature = Annotated[str, Query(max_length=64, description="As the address says.")]
_Time = Annotated[str, Query(pattern=r"^[0-9]{1,9}\.[0-9]{3}$", description="Presentation time in seconds.")]
_FORBIDDEN = "the address was not made by this service (code bad_signature), or is too old (code link_expired)"
_UNSATISFIABLE = "the video has no such bytes (code range_not_satisfiable)"


class MediaSource(Protocol):
    """What reads and decodes; `pipeline.serving.replicas.media.Media`, here or in another process."""

    async def stat(self, uri: str) -> MediaFile | None:
        """A file's facts."""

    async def read(self, uri: str, start: int, count: int) -> bytes | None:
        """Bytes of a file."""

    async def still(self, uri: str, time_s: float) -> Still:
        """A picture."""


def media_routes(backend: Backend, source: MediaSource, links: Links, metrics: Metrics) -> APIRouter:
    """GET /media/{clip_id} and GET /thumbnails/{clip_id}, both also as HEAD."""
    router = APIRouter(tags=["media"])
    doors = _Doors(backend, source, links, metrics)
    errors = {"s403": _FORBIDDEN, "s404": f"{NO_SUCH_CLIP}, or its file is not there (code no_media)"}

    @router.head("/media/{clip_id}", include_in_schema=False)
    @router.get(
        "/media/{clip_id}",
        response_class=Response,
        responses=described(422, 429, 500, 503, s416=_UNSATISFIABLE, **errors)
        | {200: _FILE, 206: {**_FILE, "description": "a part of the file"}, 304: {"description": "it is as it was"}},
    )
    async def media(clip_id: ClipId, expires: _Expires, signature: _Signature, request: Request) -> Response:
        """The video that a clip is a part of, whole or by `Range`, as the `media_url` of a hit says.

        A part has at most 8 MiB: `Content-Range` says where to go on.
        """
        doors.check(MEDIA, clip_id, expires, signature)
        return await doors.media(clip_id, request)

    @router.head("/thumbnails/{clip_id}", include_in_schema=False)
    @router.get(
        "/thumbnails/{clip_id}",
        response_class=Response,
        responses=described(422, 429, 500, 503, **errors) | {200: _PICTURE},
    )
    async def thumbnail(clip_id: ClipId, t: _Time, expires: _Expires, signature: _Signature) -> Response:
        """A JPEG of the frame that is shown at a time, as the `thumbnail_url` of a hit says."""
        doors.check(THUMBNAILS, clip_id, expires, signature, t)
        return await doors.thumbnail(clip_id, float(t))

    return router


_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FILE = {"description": "the file", "content": {"video/mp4": _BYTES, "application/octet-stream": _BYTES}}
_PICTURE = {"description": "the picture", "content": {"image/jpeg": _BYTES}}


class _Doors:
    def __init__(self, backend: Backend, source: MediaSource, links: Links, metrics: Metrics) -> None:
        self._backend = backend
        self._source = source
        self._links = links
        self._metrics = metrics
        self._places: BoundedCache[tuple[int | None, int | None, str], str] = BoundedCache(_PLACES, lambda _: 1)
        self._at_work = 0

    def check(self, kind: str, clip_id: str, expires: int, signature: str, time: str = "") -> None:
        if not self._links.is_ours(kind, clip_id, expires, signature, time):
            raise FailureError(failure(403, "bad_signature", "this address was not made here: take it from an answer"))
        if is_over(expires):
            raise FailureError(failure(403, "link_expired", "this address is too old: search again for a new one"))

    async def thumbnail(self, clip_id: str, time_s: float) -> Response:
        still = await self._source.still(await self._place(clip_id), time_s)
        if still.busy:
            raise FailureError(failure(429, "overloaded", "too many pictures are being made: try again"))
        self._metrics.pictured(cached=still.cached)
        if still.jpeg is None:
            raise FailureError(failure(404, "no_media", "no picture can be made of this clip's video"))
        return Response(still.jpeg, 200, {"cache-control": _KEEP}, "image/jpeg")

    async def media(self, clip_id: str, request: Request) -> Response:
        if self._at_work >= MAX_AT_ONCE:
            raise FailureError(failure(429, "overloaded", f"{MAX_AT_ONCE} videos are being sent: try again"))
        uri = await self._place(clip_id)
        facts = await self._source.stat(uri)
        if facts is None:
            raise FailureError(failure(404, "no_media", "this clip's video is not there any more"))
        headers = {"accept-ranges": "bytes", "etag": facts.etag, "cache-control": _KEEP}
        if request.headers.get("if-none-match") == facts.etag:
            return Response(None, 304, headers)
        asked = _asked(request, facts)
        if isinstance(asked, Response):
            return asked
        part = asked or ByteRange(0, facts.size_bytes)
        headers["content-length"] = str(part.count)
        if asked:
            headers["content-range"] = part.content_range(facts.size_bytes)
        status = 206 if asked else 200
        if request.method == "HEAD":
            return Response(None, status, headers, facts.content_type)
        first = await self._piece(uri, part.start, part.count)
        return StreamingResponse(self._pieces(uri, part, first), status, headers, facts.content_type)

    async def _place(self, clip_id: str) -> str:
        """Where a clip's video lies, by the version in use; asked for once for each of its revisions."""
        index = await self._backend.index()
        key = (index.version, index.revision, clip_id)
        uri = self._places.get(key)
        if uri is None:
            uri = (await self._backend.clip(clip_id)).uri
            self._places.put(key, uri)
        return uri

    async def _piece(self, uri: str, start: int, count: int) -> bytes:
        piece = await self._source.read(uri, start, min(count, MAX_READ_BYTES)) if count else b""
        if piece is None or (count and not piece):
            raise FailureError(failure(404, "no_media", "this clip's video is not there any more"))
        return piece

    async def _pieces(self, uri: str, part: ByteRange, first: bytes) -> AsyncIterator[bytes]:
        self._at_work += 1
        try:
            piece, left = first, part.count
            while True:
                yield piece
                left -= len(piece)
                self._metrics.sent(len(piece))
                if left <= 0:
                    return
                piece = await self._piece(uri, part.start + part.count - left, left)
        finally:
            self._at_work -= 1


def _asked(request: Request, facts: MediaFile) -> ByteRange | Response | None:
    """The part that is asked for, None for the whole file, or an answer that there is no such part."""
    header = request.headers.get("range")
    if request.headers.get("if-range", facts.etag) != facts.etag:
        header = None
    try:
        return wanted_range(header, facts.size_bytes, MAX_PART_BYTES)
    except UnsatisfiableError:
        what = failure(416, "range_not_satisfiable", f"the video has {facts.size_bytes} bytes", "Range")
        return answer(what, {"content-range": f"bytes */{facts.size_bytes}"})
