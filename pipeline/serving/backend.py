"""What the HTTP interface needs of whatever answers it."""

from typing import Protocol

from pipeline.serving.errors import Failure
from schemas.http import BatchRequest, BatchResult, ClipInfo, IndexInfo, SearchRequest, SimilarResult
from schemas.results import SearchResult


class Backend(Protocol):
    """Answers well-formed requests. Each method may raise a FailureError, a ReelsiftError or a TimeoutError."""

    async def search(self, request: SearchRequest) -> SearchResult:
        """Answer one query."""

    async def batch(self, request: BatchRequest) -> BatchResult:
        """Answer many queries, all of one version."""

    async def similar(self, clip_id: str, k: int) -> SimilarResult:
        """The k clips most like a clip; a 404 `no_such_clip` where the version in use does not have it."""

    async def clip(self, clip_id: str) -> ClipInfo:
        """What is known of a clip; a 404 `no_such_clip` where the version in use does not have it."""

    async def index(self) -> IndexInfo:
        """What new requests are answered from."""

    async def adopt(self, version: int | None) -> IndexInfo:
        """Look for the published version now.

        Args:
            version: that must be served afterwards; None for whichever is published. Another one that is published is
                a 409 `another_version`; one that cannot be served is the failure that keeps it from being.
        """

    async def trouble(self) -> Failure | None:
        """Why a search would fail now, or None."""
