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
        failing: why searches fail; None while they are answered.
        outdated: why they are answered from another version than the published one, or from none; None else.
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
        self.failing: Failure | None = failure(503, "starting", "the index is being opened: try again in a moment")
        self.outdated: Failure | None = None

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
        raise FailureError(self.failing or failure(503, "starting", "the index is being opened"))

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._period_s)

    async def look(self) -> None:
        """Look once: switch to a version newly published, or keep the old one when the new one does not work.

        `published` is what was seen, `outdated` why it is not used, `failing` why what is used does not answer.
        """
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        outdated = await self._take_up()
        # A version in use answers on, whatever is wrong with the next one or with the storage that names it.
        failing = outdated if self._manifest is None else await self._proven(self._manifest)
        for each in (outdated, None if failing is outdated else failing):
            if each is not None and each not in (self.outdated, self.failing):
                logger.warning("%s: %s", each.detail.code, each.detail.message)
        self.outdated, self.failing = outdated, failing

    async def _take_up(self) -> Failure | None:
        """Use the published version; why that does not work, or None."""
        try:
            published = await asyncio.to_thread(self._read)
            self.published = published.version
            if published != self._manifest:
                await self._prepare(published)
            self._manifest = published
        except IndexMissingError as error:
            self._manifest = self.published = None
            return failure_of(error)
        except Exception as error:  # noqa: BLE001  (following outlives every error)
            return _told(error)
        return None

    async def _proven(self, manifest: VersionManifest) -> Failure | None:
        """Why the version in use does not answer, or None."""
        try:
            await self._check(manifest)
        except Exception as error:  # noqa: BLE001  (following outlives every error)
            return _told(error)
        return None


def _told(error: Exception) -> Failure:
    known = failure_of(error)
    if known is None:
        logger.error("the published version cannot be used", exc_info=error)
    return known or failure(503, INTERNAL, "the published version cannot be used: see the server's log")
