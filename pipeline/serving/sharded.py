"""Both stages with the fine tokens divided among rerank shards: candidates are scattered, scores gathered.

A shard that dies is asked once more, on another replica. One that is away then, or does not answer in time, is left
out: its candidates keep their coarse score, rank below the others, and the answer says so.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipeline.candidates import share
from pipeline.index.hits import CoarseHit
from pipeline.ranking import FINE, NO_READS, EncodedQuery, Reads, Reranked, elapsed_ms, now, ranked
from pipeline.serving.calls import call, call_all
from pipeline.serving.errors import RESTARTING, FailureError
from pipeline.serving.limits.deadline import COARSE_ONLY, FEWER, Clock, Depth, MeasuredCosts
from pipeline.serving.messages import Answer, Ask, Candidates, VersionKey, key_of
from pipeline.serving.shard_assignment import parts_of_files
from pipeline.serving.stages import StageOneCalls
from schemas.manifest import VersionManifest
from schemas.results import HitExplanation, SearchHit

if TYPE_CHECKING:
    from pipeline.index.fine_store import Tier

# Without a deadline that ends sooner, a shard is waited for so long, and so many times as long as was expected of it.
_PATIENCE_MS: Final = 1000.0
_TIMES_EXPECTED: Final = 20.0
_NO_PATCHES: Final = "frames"


@dataclass
class _Gathered:
    """What the shards said: score and best time by clip_id, of each text."""

    found: list[dict[str, tuple[float, float | None]]]
    holes: set[str] = field(default_factory=set)
    read_ms: float = 0.0
    score_ms: float = 0.0
    reads: Reads = NO_READS
    parts_away: int = 0


class Sharded(StageOneCalls):
    """Stage 1 in one deployment, stage 2 in one of each part: two hops, the second one to many at once.

    Args:
        recaller: handle of `StageOne`.
        shards: handles of `RerankShard`, in the order of their parts.
    """

    def __init__(self, recaller: Any, shards: Sequence[Any]) -> None:
        super().__init__(recaller)
        self._shards = list(shards)
        self._costs: dict[str, MeasuredCosts] = {}

    async def warm(self, manifest: VersionManifest) -> None:
        """Make every replica ready for a version."""
        key = key_of(manifest)
        await asyncio.gather(super().warm(manifest), *(call_all(shard, "warm", key) for shard in self._shards))

    async def check(self, manifest: VersionManifest) -> None:
        """Prove that Milvus answers, and that no shard has lost a part of its files."""
        key = key_of(manifest)
        await asyncio.gather(super().check(manifest), *(self._check_shard(shard, key) for shard in self._shards))

    @staticmethod
    async def _check_shard(shard: Any, key: VersionKey) -> None:
        # A shard that is away costs its candidates their fine scores, and no search its answer.
        with contextlib.suppress(FailureError):
            await call(shard.check, key)

    async def answer(self, manifest: VersionManifest, query: EncodedQuery, ask: Ask) -> Answer:
        """The best clips for one text."""
        clock = Clock(ask.budget_ms)
        skip: set[str] = set()
        while True:
            found: Candidates = await call(self._recaller.recall, key_of(manifest), query, ask, frozenset(skip))
            depth = self._depth(manifest, clock, ask, 1)
            gathered = await self._scored(manifest, [query], [_covered(found, manifest)], depth, clock)
            if not gathered.holes:
                break
            # Deleted since stage 1 knew of them: others are found in their place.
            skip |= gathered.holes
        answer = _answer(found, gathered, 0, depth, ask)
        return await self._explained(manifest, query, answer, found) if ask.explain else answer

    async def answer_batch(self, manifest: VersionManifest, queries: list[EncodedQuery], ask: Ask) -> list[Answer]:
        """The best clips for each of many texts. The times of each are those of the whole."""
        clock = Clock(ask.budget_ms)
        found: list[Candidates] = await call(self._recaller.recall_batch, key_of(manifest), queries, ask)
        depth = self._depth(manifest, clock, ask, len(queries))
        candidates = [_covered(one, manifest) for one in found]
        gathered = await self._scored(manifest, queries, candidates, depth, clock)
        return [
            await self.answer(manifest, query, ask)
            if any(hit.clip_id in gathered.holes for hit in candidates[place])
            else _answer(found[place], gathered, place, depth, ask)
            for place, query in enumerate(queries)
        ]

    def _depth(self, manifest: VersionManifest, clock: Clock, ask: Ask, queries: int) -> Depth:
        costs = self._costs.setdefault(manifest.codec, MeasuredCosts(has_patches=manifest.codec != _NO_PATCHES))
        return Depth(clock, ask.k * queries, costs, rerank=ask.rerank)

    async def _scored(
        self,
        manifest: VersionManifest,
        queries: Sequence[EncodedQuery],
        candidates: Sequence[list[CoarseHit]],
        depth: Depth,
        clock: Clock,
    ) -> _Gathered:
        """Scatter as many candidates as there is time for, and gather their scores."""
        wanted = sum(map(len, candidates))
        count, tier = depth.choose(wanted)
        chosen = [hits[: share(count, wanted, len(hits))] for hits in candidates]
        texts_QD = np.stack([query.text_D for query in queries])
        parts = parts_of_files([shard.clips for shard in manifest.shards], len(self._shards))
        work: dict[int, list[list[CoarseHit]]] = {}
        for query, hits in enumerate(chosen):
            for hit in hits:
                work.setdefault(parts[hit.shard], [[] for _ in queries])[query].append(hit)
        start = now()
        patience_ms = min(clock.left_ms(), _PATIENCE_MS + _TIMES_EXPECTED * depth.expected_ms)
        gathered = await self._gather(manifest, texts_QD, work, tier, patience_ms)
        if len(queries) == 1 and not gathered.parts_away:
            depth.note(elapsed_ms(start))
        return gathered

    async def _gather(
        self,
        manifest: VersionManifest,
        texts_QD: np.ndarray,
        work: dict[int, list[list[CoarseHit]]],
        tier: "Tier",
        patience_ms: float,
    ) -> _Gathered:
        key, gathered = key_of(manifest), _Gathered([{} for _ in texts_QD])
        tasks = {
            asyncio.ensure_future(call(self._shards[part].score, key, texts_QD, hits, tier)): hits
            for part, hits in work.items()
        }
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=max(0.0, patience_ms / 1000))
            for task in late:
                task.cancel()
        for task, hits in tasks.items():
            scored = _result(task)
            if scored is None:
                gathered.parts_away += 1
                continue
            _note(gathered, hits, scored)
        return gathered

    async def _explained(
        self, manifest: VersionManifest, query: EncodedQuery, answer: Answer, found: Candidates
    ) -> Answer:
        start = now()
        addresses = {hit.clip_id: (hit.shard, hit.row) for hit in found.candidates}
        parts = parts_of_files([shard.clips for shard in manifest.shards], len(self._shards))
        work: dict[int, dict[str, tuple[int, int]]] = {}
        for hit in answer.hits:
            if hit.stage == FINE:
                shard, row = addresses[hit.clip_id]
                work.setdefault(parts[shard], {})[hit.clip_id] = (shard, row)
        explained: dict[str, HitExplanation] = {}
        for part in await asyncio.gather(
            *(call(self._shards[part].explain, key_of(manifest), query.text_D, own) for part, own in work.items())
        ):
            explained |= part
        hits = [hit.model_copy(update={"explanation": explained.get(hit.clip_id)}) for hit in answer.hits]
        return replace(answer, hits=hits, timings_ms={**answer.timings_ms, "explain": elapsed_ms(start)})


def _covered(found: Candidates, manifest: VersionManifest) -> list[CoarseHit]:
    """Candidates that the revision at hand has: stage 1 may have opened a later one."""
    return [hit for hit in found.candidates if manifest.covers(hit.shard, hit.row)]


def _result(task: "asyncio.Future[list[Reranked]]") -> list[Reranked] | None:
    """What a shard said, or None if it is away or late."""
    if task.cancelled() or not task.done():
        return None
    error = task.exception()
    if isinstance(error, FailureError) and error.failure.detail.code == RESTARTING:
        return None
    return task.result()


def _note(gathered: _Gathered, hits: list[list[CoarseHit]], scored: list[Reranked]) -> None:
    for query, (own, got) in enumerate(zip(hits, scored, strict=True)):
        gathered.holes |= got.holes
        if not got.holes:
            marks = zip(got.scores, got.best_s, strict=True)
            gathered.found[query] |= dict(zip((hit.clip_id for hit in own), marks, strict=True))
    # Each says of all its texts what it read.
    gathered.reads += scored[0].reads
    # Shards work at the same time.
    gathered.read_ms = max(gathered.read_ms, *(got.read_ms for got in scored))
    gathered.score_ms = max(gathered.score_ms, *(got.score_ms for got in scored))


def _answer(found: Candidates, gathered: _Gathered, place: int, depth: Depth, ask: Ask) -> Answer:
    marks = gathered.found[place]
    fine = [hit for hit in found.candidates if hit.clip_id in marks]
    coarse = [hit for hit in found.candidates if hit.clip_id not in marks] + found.others
    scores, best_s = [marks[hit.clip_id][0] for hit in fine], [marks[hit.clip_id][1] for hit in fine]
    hits: list[SearchHit] = ranked(fine + coarse, Reranked(scores, best_s, 0.0, 0.0), ask.k)
    timings_ms = {**found.timings_ms, "read": gathered.read_ms, "score": gathered.score_ms}
    return Answer(hits, timings_ms, _degraded(depth.degraded, gathered, bool(marks)), gathered.reads, found.batch)


def _degraded(steps: list[str], gathered: _Gathered, any_fine: bool) -> list[str]:
    if not gathered.parts_away:
        return steps
    if not any_fine:
        return [COARSE_ONLY]
    return [FEWER, *(step for step in steps if step != FEWER)]
