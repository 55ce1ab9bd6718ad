"""Deployment that reads and decodes users' videos, so that no file can harm what answers searches."""

import asyncio
import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from pipeline.decode.isolated_still import IsolatedStills
from pipeline.serving.limits.bounded_cache import BoundedCache
from pipeline.serving.replicas.media_files import MediaFile, file_facts, read_file, servable
from pipeline.serving.replicas.work_threads import work_threads
from schemas.errors import BadVideoError

_T = TypeVar("_T")
_Moment = tuple[str, float]

MAX_READ_BYTES = 1 << 20
_STILL_SIDE_PX = 480
_STILL_TIMEOUT_S = 10.0
_CHILDREN = 2
# Beyond those at work so many wait; a page of results asks for twenty at once.
_MAX_WAITING = 64
_READERS = 8
_STILL_CACHE_BYTES = 64 << 20
# What cannot be decoded is not tried again and again, and may still be mended.
_FAILED_FOR_S = 60.0
_FACTS_FOR_S = 15.0
_MAX_FACTS = 2000


@dataclass(frozen=True)
class Still:
    """A picture, or why there is none.

    Attributes:
        jpeg: None where none can be made.
        cached: it was made before, or known to be impossible.
        busy: too many are asked for at once.
    """

    jpeg: bytes | None
    cached: bool = False
    busy: bool = False


class Media:
    """Reads pieces of videos and makes pictures of them. Locations come from the index, never from a request.

    Args:
        still_timeout_s: wall time for one picture.
    """

    def __init__(self, still_timeout_s: float = _STILL_TIMEOUT_S) -> None:
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="media")
        self._makers = work_threads(_CHILDREN, "stills")
        self._stills: queue.SimpleQueue[IsolatedStills] = queue.SimpleQueue()
        for _ in range(_CHILDREN):
            self._stills.put(IsolatedStills(still_timeout_s))
        self._waiting = 0
        self._pictures: BoundedCache[_Moment, bytes] = BoundedCache(_STILL_CACHE_BYTES, len)
        self._failed: BoundedCache[_Moment, float] = BoundedCache(_MAX_FACTS, lambda _: 1)
        self._facts: BoundedCache[str, tuple[float, MediaFile | None]] = BoundedCache(_MAX_FACTS, lambda _: 1)

    def __del__(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._stills.get_nowait().close()

    async def stat(self, uri: str) -> MediaFile | None:
        """A file's facts, at most some seconds old; None where there is no such file, or it is not ours to read.

        Raises:
            StorageError: the object store is away.
        """
        known = self._facts.get(uri)
        if known is not None and time.monotonic() - known[0] < _FACTS_FOR_S:
            return known[1]
        facts = await self._in_thread(lambda: file_facts(uri))
        self._facts.put(uri, (time.monotonic(), facts))
        return facts

    async def read(self, uri: str, start: int, count: int) -> bytes | None:
        """Bytes of a file, at most `MAX_READ_BYTES`; None where the file is gone.

        Raises:
            StorageError: the object store is away.
        """
        return await self._in_thread(lambda: read_file(uri, start, min(count, MAX_READ_BYTES)))

    async def still(self, uri: str, time_s: float) -> Still:
        """A picture of a video at a time, out of the cache or made by a child process."""
        moment = (uri, time_s)
        known = self._known(moment)
        if known is not None or not servable(uri):
            return known or Still(None)
        if self._waiting >= _MAX_WAITING:
            return Still(None, busy=True)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._makers, self._make, moment)
        finally:
            self._waiting -= 1

    def _known(self, moment: _Moment) -> Still | None:
        jpeg = self._pictures.get(moment)
        if jpeg is not None:
            return Still(jpeg, cached=True)
        failed = self._failed.get(moment)
        recently = failed is not None and time.monotonic() - failed < _FAILED_FOR_S
        return Still(None, cached=True) if recently else None

    def _make(self, moment: _Moment) -> Still:
        # Whoever waited behind an equal request takes its picture.
        known = self._known(moment)
        if known is not None:
            return known
        stills = self._stills.get()
        try:
            jpeg = stills.still(*moment, _STILL_SIDE_PX)
        except BadVideoError:
            self._failed.put(moment, time.monotonic())
            return Still(None)
        finally:
            self._stills.put(stills)
        self._pictures.put(moment, jpeg)
        return Still(jpeg)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)
