"""Keeps searches away from a Milvus that is gone, and lets them through as soon as it is back."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from pipeline.serving.errors import MILVUS_UNAVAILABLE, Failure, FailureError, failure

_T = TypeVar("_T")
# A Milvus that fails so often without one success between is as good as gone.
_FAILURES: Final = 3


class Breaker:
    """Closed while Milvus answers. For one event loop.

    While it is open, a search is told at once, and one that waits for Milvus already is told as well. Whoever watches
    Milvus closes it.
    """

    def __init__(self) -> None:
        self._opened: asyncio.Future[str] | None = None
        self._failures = 0

    @property
    def is_open(self) -> bool:
        """Whether searches are kept away."""
        return self._opened is not None and self._opened.done()

    @property
    def trouble(self) -> Failure | None:
        """What searches are told while it is open."""
        return _unavailable(self._opened.result()) if self._opened is not None and self._opened.done() else None

    def failed(self, why: str) -> None:
        """A question to Milvus failed. One alone may be about the question; `why` is a sentence."""
        self._failures += 1
        if self._failures >= _FAILURES:
            self.open(why)

    def succeeded(self) -> None:
        """A question to Milvus was answered."""
        self._failures = 0

    def open(self, why: str) -> None:
        """Keep searches away."""
        future = self._future()
        if not future.done():
            future.set_result(why)

    def close(self) -> None:
        """Let searches through."""
        self._failures = 0
        if self.is_open:
            self._opened = None

    async def guard(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do what needs Milvus, unless it is gone or goes meanwhile.

        Raises:
            FailureError: 503 `milvus_unavailable`.
        """
        opened = self._future()
        if opened.done():
            work.close()
            raise FailureError(_unavailable(opened.result()))
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task, opened), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise FailureError(_unavailable(opened.result()))
            return task.result()
        finally:
            if not task.done():
                task.cancel()

    def _future(self) -> "asyncio.Future[str]":
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
        return self._opened


def _unavailable(why: str) -> Failure:
    return failure(503, MILVUS_UNAVAILABLE, why)
