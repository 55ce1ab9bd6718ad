"""The two stages behind the text encoder, as the ingress asks for them: in one process, or divided among shards."""

from typing import Any, Protocol

from pipeline.ranking import EncodedQuery
from pipeline.serving.calls import call, call_all
from pipeline.serving.messages import Answer, Ask, key_of
from schemas.http import ClipInfo
from schemas.manifest import VersionManifest
from schemas.results import SearchHit


class BothStages(Protocol):
    """What the ingress needs. A version is named by its manifest; each method may raise as those of `Recaller` do."""

    async def warm(self, manifest: VersionManifest) -> None:
        """Make every replica ready for a version."""

    async def check(self, manifest: VersionManifest) -> None:
        """Prove that Milvus answers, and that no file of fine tokens was cut."""

    async def recover(self, manifest: VersionManifest) -> None:
        """Let every replica connect to a Milvus that was away, and prove that it answers."""

    async def answer(self, manifest: VersionManifest, query: EncodedQuery, ask: Ask) -> Answer:
        """The best clips for one text."""

    async def answer_batch(self, manifest: VersionManifest, queries: list[EncodedQuery], ask: Ask) -> list[Answer]:
        """The best clips for each of many texts."""

    async def similar(self, manifest: VersionManifest, clip_id: str, k: int) -> list[SearchHit] | None:
        """The clips most like a clip, or None without that clip."""

    async def clip(self, manifest: VersionManifest, clip_id: str) -> ClipInfo | None:
        """What is known of a clip, or None without that clip."""


class StageOneCalls:
    """What is asked of Milvus alone.

    Args:
        recaller: handle of a `Recaller`.
    """

    def __init__(self, recaller: Any) -> None:
        self._recaller = recaller

    async def warm(self, manifest: VersionManifest) -> None:
        """Make every replica ready for a version."""
        await call_all(self._recaller, "warm", key_of(manifest))

    async def check(self, manifest: VersionManifest) -> None:
        """Prove that Milvus answers."""
        await call(self._recaller.check, key_of(manifest))

    async def recover(self, manifest: VersionManifest) -> None:
        """Let every replica connect to a Milvus that was away, and prove that it answers."""
        await call_all(self._recaller, "recover", key_of(manifest))

    async def similar(self, manifest: VersionManifest, clip_id: str, k: int) -> list[SearchHit] | None:
        """The clips most like a clip, or None without that clip."""
        found: list[SearchHit] | None = await call(self._recaller.similar, key_of(manifest), clip_id, k)
        return found

    async def clip(self, manifest: VersionManifest, clip_id: str) -> ClipInfo | None:
        """What is known of a clip, or None without that clip."""
        found: ClipInfo | None = await call(self._recaller.clip, key_of(manifest), clip_id)
        return found


class OneProcess(StageOneCalls):
    """Both stages in each replica of one deployment: one hop.

    Args:
        reranker: handle of `Reranker`.
    """

    async def answer(self, manifest: VersionManifest, query: EncodedQuery, ask: Ask) -> Answer:
        """The best clips for one text."""
        found: Answer = await call(self._recaller.answer, key_of(manifest), query, ask)
        return found

    async def answer_batch(self, manifest: VersionManifest, queries: list[EncodedQuery], ask: Ask) -> list[Answer]:
        """The best clips for each of many texts."""
        found: list[Answer] = await call(self._recaller.answer_batch, key_of(manifest), queries, ask)
        return found
