"""Deployment of both stages of a query: recall in Milvus, then the rerank beside the fine store.

They share a process because the candidates of the one are the input of the other: a hop between them would cost
more than the work.
"""

from pipeline.serving.replicas.gentle_imports import import_gently

import_gently("pipeline.both_stages", "pipeline.explain")

from dataclasses import dataclass

import torch

from pipeline.both_stages import Stages
from pipeline.explain import explain, with_explanations
from pipeline.index.fine_store import FineStore
from pipeline.index.versions import open_fine, read_manifest
from pipeline.ranking import FINE, EncodedQuery, elapsed_ms, now, ranked
from pipeline.rerank import warm_up
from pipeline.serving.limits.deadline import Clock, Depth, MeasuredCosts
from pipeline.serving.messages import Answer, Ask, VersionKey, writable
from pipeline.serving.replicas.recaller import Opened, Recaller


@dataclass(frozen=True)
class OpenedBoth(Opened):
    """One version, open for both stages, and what a candidate costs here."""

    fine: FineStore
    costs: MeasuredCosts

    def close(self) -> None:
        """Close the stores."""
        self.fine.close()
        super().close()


class Reranker(Recaller[OpenedBoth]):
    """Recalls, reads and scores candidates.

    Args:
        index_uri: the index.
        score_threads: that share the scoring of one query.
    """

    def __init__(self, index_uri: str, score_threads: int = 1) -> None:
        torch.set_num_threads(1)
        self._score_threads = score_threads
        super().__init__(index_uri)

    async def answer(self, version: VersionKey, encoded: EncodedQuery, ask: Ask) -> Answer:
        """The k best clips of one version for one text.

        Raises:
            IndexMissingError: the version is gone.
            IndexCorruptError: its files are not what its manifest says, or disagree with Milvus.
            VectorStoreError: Milvus is away.
        """
        return await self._in_thread(self._answer, version, encoded, ask, Clock(ask.budget_ms))

    async def answer_batch(self, version: VersionKey, encoded: list[EncodedQuery], ask: Ask) -> list[Answer]:
        """The same for many texts, in their order. The times of each are those of the whole."""
        return await self._in_thread(self._answer_batch, version, encoded, ask, Clock(ask.budget_ms))

    def _answer(self, version: VersionKey, encoded: EncodedQuery, ask: Ask, clock: Clock) -> Answer:
        query = writable(encoded)
        with self._versions.hold(version) as opened:
            depth = Depth(clock, ask.k, opened.costs, rerank=ask.rerank)
            found, scored = self._stages(opened, ask).find(query, depth.choose)
            depth.note(scored.read_ms + scored.score_ms)
            timings_ms = {**found.timings_ms, "read": scored.read_ms, "score": scored.score_ms}
            hits = ranked(found.hits, scored, ask.k)
            if ask.explain:
                start = now()
                places = {hit.clip_id: (hit.shard, hit.row) for hit in found.candidates}
                addresses = {hit.clip_id: places[hit.clip_id] for hit in hits if hit.stage == FINE}
                hits = with_explanations(hits, explain(query.text_D, addresses, opened.fine, opened.manifest.scoring))
                timings_ms["explain"] = elapsed_ms(start)
        return Answer(hits, timings_ms, depth.degraded, scored.reads)

    def _answer_batch(self, version: VersionKey, encoded: list[EncodedQuery], ask: Ask, clock: Clock) -> list[Answer]:
        queries = [writable(query) for query in encoded]
        with self._versions.hold(version) as opened:
            depth = Depth(clock, ask.k * len(queries), opened.costs, rerank=ask.rerank)
            found = self._stages(opened, ask).find_batch(queries, depth.choose)
        return [
            Answer(
                ranked(coarse.hits, scored, ask.k),
                {**coarse.timings_ms, "read": scored.read_ms, "score": scored.score_ms},
                depth.degraded,
                scored.reads,
            )
            for coarse, scored in found
        ]

    def _stages(self, opened: OpenedBoth, ask: Ask) -> Stages:
        return Stages(opened.vectors, opened.fine, opened.manifest, ask.mode, ask.k, ask.recall_k, self._score_threads)

    def _check(self, version: VersionKey) -> None:
        with self._versions.hold(version) as opened:
            opened.fine.check()
        super()._check(version)

    def _warm(self, version: VersionKey) -> None:
        with self._versions.hold(version) as opened:
            warm_up(opened.fine, opened.manifest.scoring, opened.manifest.token_shape.dim)
        super()._warm(version)

    def _open(self, key: VersionKey) -> OpenedBoth:
        manifest, fine = open_fine(self._index, read_manifest(self._index, key.version))
        try:
            return OpenedBoth(manifest, self._vectors(manifest), fine, MeasuredCosts(has_patches=fine.has_patches))
        except BaseException:
            fine.close()
            raise
