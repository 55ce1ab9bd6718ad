"""Follows the published version of an index, and switches only to one that is ready to answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pipeline.serving.errors import INTERNAL, Failure, FailureError, failure, failure_of
from schemas.errors import IndexMissingError
from schemas.manifest import VersionManifest

logger = logging.getLogger("reelsift.serving")


class Follower:
    """Knows what new requests are answered from, or why there is nothing.

    Args:
        read: gives the manifest of the published version; it may block.
        prepare: makes all parts ready for a version; it runs before the first request of that version.
        check: proves that the version in use still answers.
        period_s: time between two looks.

    Attributes:
        published: the version that was published at the last look, in use or not.
        trouble: why searches fail or are answered from an older version; None while all is well.
    """

    def __init__(
        self,
        read: Callable[[], VersionManifest],
        prepare: Callable[[VersionManifest], Awaitable[None]],
        check: Callable[[VersionManifest], Awaitable[None]],
        period_s: float,
    ) -> None:
        self._read = read
        self._prepare = prepare
        self._check = check
        self._period_s = period_s
        self._manifest: VersionManifest | None = None
        self._looking = asyncio.Lock()
        self.published: int | None = None
        self.trouble: Failure | None = failure(503, "starting", "the index is being opened: try again in a moment")

    @property
    def manifest(self) -> VersionManifest | None:
        """The version in use, or None."""
        return self._manifest

    def current(self) -> VersionManifest:
        """The version to answer from. A part that is away now may be back when it is asked.

        Raises:
            FailureError: there is none; it says why.
        """
        if self._manifest is not None:
            return self._manifest
        raise FailureError(self.trouble or failure(503, "starting", "the index is being opened"))

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._period_s)

    async def look(self) -> None:
        """Look once: switch to a version newly published, or keep the old one when the new one does not work.

        `published` is what was seen, `trouble` why it is not used or does not answer.
        """
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        try:
            published = await asyncio.to_thread(self._read)
            self.published = published.version
            if published != self._manifest:
                await self._prepare(published)
            self._manifest = published
            await self._check(published)
        except IndexMissingError as error:
            self._manifest = self.published = None
            self._note(failure_of(error))
        except Exception as error:
            known = failure_of(error)
            if known is None:
                logger.exception("the published version cannot be used")
            self._note(known or failure(503, INTERNAL, "the published version cannot be used: see the server's log"))
        else:
            self._note(None)

    def _note(self, trouble: Failure | None) -> None:
        if trouble is not None and trouble != self.trouble:
            logger.warning("%s: %s", trouble.detail.code, trouble.detail.message)
        self.trouble = trouble
