"""A client of `reelsift serve`: typed answers, patience with a busy service, and one error.

    from pipeline.client import Client

    with Client("http://127.0.0.1:8000", key="...") as client:
        for hit in client.search("a red star", k=5).hits:
            print(hit.uri, hit.best_s)

`AsyncClient` has the same methods, to be awaited. Needs neither torch nor Ray.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from pipeline.client_calls import Call, ServiceError, headers, read
from schemas.http import BatchResult, ClipInfo, IndexInfo, SimilarResult
from schemas.results import SearchResult

__all__ = ["AsyncClient", "Client", "ServiceError"]


class _Questions:
    """What can be asked, as calls; the two clients differ only in how they wait."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def _search(self, path: str, body: dict[str, Any], options: dict[str, Any]) -> Call:
        given = {name: value for name, value in options.items() if value is not None}
        narrowed = given.get("filter")
        if isinstance(narrowed, BaseModel):
            given["filter"] = narrowed.model_dump(by_alias=True)
        return Call("POST", path, body | given, None, self._timeout_s)

    def _get(self, path: str, clip_id: str = "", **params: Any) -> Call:
        return Call("GET", path + quote(clip_id, safe=""), None, params or None, self._timeout_s)

    def _adopt(self, version: int | None) -> Call:
        body = {} if version is None else {"version": version}
        return Call("POST", "/admin/v1/index", body, None, self._timeout_s)


class Client(_Questions):
    """Asks and waits. Safe for threads.

    Args:
        url: of the service, such as "http://127.0.0.1:8000".
        key: where it asks for one.
        timeout_s: for each method in all, further tries included.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout_s: float = 30.0) -> None:
        super().__init__(timeout_s)
        self._http = httpx.Client(base_url=url, headers=headers(key))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def search(self, query: str, **options: Any) -> SearchResult:
        """Rank clips for a text.

        Args:
            query: the text.
            options: k, recall_k, recall, rerank, filter, deadline_ms, explain, as in `schemas.http.SearchRequest`.

        Raises:
            ServiceError: there is no answer, or it is that something is wrong.
        """
        return read(SearchResult, self._ask(self._search("/v1/search", {"query": query}, options)))

    def batch(self, queries: Sequence[str], **options: Any) -> BatchResult:
        """Rank clips for many texts; options as for `search`, without `explain`."""
        return read(BatchResult, self._ask(self._search("/v1/search:batch", {"queries": list(queries)}, options)))

    def similar(self, clip_id: str, k: int = 10) -> SimilarResult:
        """The clips most like a clip."""
        return read(SimilarResult, self._ask(self._get("/v1/similar/", clip_id, k=k)))

    def clip(self, clip_id: str) -> ClipInfo:
        """What is known of a clip."""
        return read(ClipInfo, self._ask(self._get("/v1/clips/", clip_id)))

    def index(self) -> IndexInfo:
        """The version that is served."""
        return read(IndexInfo, self._ask(self._get("/v1/index")))

    def adopt(self, version: int | None = None) -> IndexInfo:
        """Make the service look for the published version now; with a number, wait until that one is served."""
        return read(IndexInfo, self._ask(self._adopt(version)))

    def fetch(self, address: str) -> bytes:
        """A clip's picture, or all of its video: `thumbnail_url` or `media_url` of an answer."""
        return self._ask(self._get(address)).content

    def _ask(self, call: Call) -> httpx.Response:
        while True:
            try:
                answer = self._http.send(call.request(self._http))
            except httpx.TransportError as silence:
                wait_s = call.wait_after_silence(silence)
            else:
                if answer.is_success:
                    return answer
                wait_s = call.wait_after(answer)
            time.sleep(wait_s)


class AsyncClient(_Questions):
    """As `Client`, to be awaited.

    Args:
        url: of the service, such as "http://127.0.0.1:8000".
        key: where it asks for one.
        timeout_s: for each method in all, further tries included.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout_s: float = 30.0) -> None:
        super().__init__(timeout_s)
        self._http = httpx.AsyncClient(base_url=url, headers=headers(key))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def search(self, query: str, **options: Any) -> SearchResult:
        """As `Client.search`."""
        return read(SearchResult, await self._ask(self._search("/v1/search", {"query": query}, options)))

    async def batch(self, queries: Sequence[str], **options: Any) -> BatchResult:
        """As `Client.batch`."""
        call = self._search("/v1/search:batch", {"queries": list(queries)}, options)
        return read(BatchResult, await self._ask(call))

    async def similar(self, clip_id: str, k: int = 10) -> SimilarResult:
        """As `Client.similar`."""
        return read(SimilarResult, await self._ask(self._get("/v1/similar/", clip_id, k=k)))

    async def clip(self, clip_id: str) -> ClipInfo:
        """As `Client.clip`."""
        return read(ClipInfo, await self._ask(self._get("/v1/clips/", clip_id)))

    async def index(self) -> IndexInfo:
        """As `Client.index`."""
        return read(IndexInfo, await self._ask(self._get("/v1/index")))

    async def adopt(self, version: int | None = None) -> IndexInfo:
        """As `Client.adopt`."""
        return read(IndexInfo, await self._ask(self._adopt(version)))

    async def fetch(self, address: str) -> bytes:
        """As `Client.fetch`."""
        return (await self._ask(self._get(address))).content

    async def _ask(self, call: Call) -> httpx.Response:
        while True:
            try:
                answer = await self._http.send(call.request(self._http))
            except httpx.TransportError as silence:
                wait_s = call.wait_after_silence(silence)
            else:
                if answer.is_success:
                    return answer
                wait_s = call.wait_after(answer)
            await asyncio.sleep(wait_s)
