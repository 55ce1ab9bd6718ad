"""Looks after Milvus: opens the breaker when it is gone, and closes it when searches work again."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from pipeline.serving.limits.breaker import Breaker
from schemas.manifest import LITE, VersionManifest

_PERIOD_S: Final = 1.0
_CONNECT_S: Final = 1.0
_RECOVER_S: Final = 8.0
_DEFAULT_PORT: Final = 19530


class MilvusWatch:
    """One look a second at the Milvus of the version in use.

    A search that waits for a server which was just killed would learn of it seconds later; that nobody listens there
    any more is known at once. Back it is when a search works, not when its port is open.

    Args:
        breaker: that is opened and closed.
        manifest: gives the version in use, or None.
        recover: connects to a Milvus that was away, and proves that it answers searches of the version.
        period_s: between two looks.
    """

    def __init__(
        self,
        breaker: Breaker,
        manifest: Callable[[], VersionManifest | None],
        recover: Callable[[VersionManifest], Awaitable[None]],
        period_s: float = _PERIOD_S,
    ) -> None:
        self._breaker = breaker
        self._manifest = manifest
        self._recover = recover
        self._period_s = period_s

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._period_s)

    async def look(self) -> None:
        """Look once."""
        manifest = self._manifest()
        if manifest is None:
            return
        # Milvus Lite lives in a process of our own.
        if manifest.milvus != LITE and not await is_listening(manifest.milvus):
            self._breaker.open(f"Milvus at {manifest.milvus} does not answer: start it, or check the address")
        elif self._breaker.is_open:
            # Whatever is wrong, it is not well yet.
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._recover(manifest), _RECOVER_S)
                self._breaker.close()


async def is_listening(uri: str) -> bool:
    """Whether something takes TCP connections there."""
    parts = urlsplit(uri)
    try:
        opening = asyncio.open_connection(parts.hostname, parts.port or _DEFAULT_PORT)
        _, writer = await asyncio.wait_for(opening, _CONNECT_S)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
