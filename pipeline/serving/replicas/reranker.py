"""Deployment of both stages of a query: recall in Milvus, then the rerank beside the fine store.

They share a process because the candidates of the one are the input of the other: a hop between them would cost
more than the work.
"""

from pipeline.serving.replicas.gentle_imports import import_gently

import_gently("pipeline.both_stages", "pipeline.explain")

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import torch

from pipeline.both_stages import Stages
from pipeline.explain import explain, with_explanations
from pipeline.index.fine_store import FineStore
from pipeline.index.versions import open_fine, read_manifest
from pipeline.ranking import FINE, NO_READS, EncodedQuery, Reranked, elapsed_ms, now, ranked
from pipeline.recall import Recalled
from pipeline.rerank import warm_up
from pipeline.serving.limits.deadline import Clock, Depth, MeasuredCosts
from pipeline.serving.messages import Answer, Ask, VersionKey, writable
from pipeline.serving.replicas.gathering import AT_ONCE, MAX_TOGETHER, Gathering
from pipeline.serving.replicas.recaller import THREADS, Opened, Recaller
from schemas.manifest import LITE


@dataclass(frozen=True)
class OpenedBoth(Opened):
    """One version, open for both stages, and what a candidate costs here."""

    fine: FineStore
    costs: MeasuredCosts

    def close(self) -> None:
        """Close the stores."""
        self.fine.close()
        super().close()


@dataclass(frozen=True)
class _Question:
    """One search, and the time that it has."""

    version: VersionKey
    query: EncodedQuery
    ask: Ask
    clock: Clock

    @property
    def kind(self) -> Hashable:
        """Only those that ask Milvus for the same can be answered together."""
        return self.version, self.ask.mode, self.ask.k, self.ask.recall_k, self.query.expression

    def depth(self, costs: MeasuredCosts) -> Depth:
        """How deep its second stage goes."""
        return Depth(self.clock, self.ask.k, costs, rerank=self.ask.rerank)


class Reranker(Recaller[OpenedBoth]):
    """Recalls, reads and scores candidates.

    Args:
        index_uri: the index.
        score_threads: that share the scoring of one query.
        max_batch: searches that are answered together, where so many wait.
    """

    def __init__(self, index_uri: str, score_threads: int = 1, max_batch: int = MAX_TOGETHER) -> None:
        torch.set_num_threads(1)
        self._score_threads = score_threads
        super().__init__(index_uri)
        self._gathering = Gathering(self._pool, self._answer_together, AT_ONCE, THREADS, min(max_batch, MAX_TOGETHER))

    async def answer(self, version: VersionKey, encoded: EncodedQuery, ask: Ask) -> Answer:
        """The k best clips of one version for one text.

        Raises:
            IndexMissingError: the version is gone.
            IndexCorruptError: its files are not what its manifest says, or disagree with Milvus.
            VectorStoreError: Milvus is away.
        """
        question = _Question(version, writable(encoded), ask, Clock(ask.budget_ms))
        return await self._gathering.ask(question.kind, question)

    async def answer_batch(self, version: VersionKey, encoded: list[EncodedQuery], ask: Ask) -> list[Answer]:
        """The same for many texts, in their order. The times of each are those of the whole."""
        return await self._in_thread(self._answer_batch, version, encoded, ask, Clock(ask.budget_ms))

    def _answer_together(self, questions: Sequence[_Question]) -> list[Answer]:
        """Answer questions of one kind."""
        with self._versions.hold(questions[0].version) as opened:
            # Milvus Lite multiplies matrices for many and vectors for one: the last bits would depend on the load.
            if len(questions) == 1 or opened.manifest.milvus == LITE:
                return [self._answer_alone(opened, question) for question in questions]
            return self._answer_each(opened, questions)

    def _answer_alone(self, opened: OpenedBoth, question: _Question) -> Answer:
        depth = question.depth(opened.costs)
        found, scored = self._stages(opened, question.ask).find(question.query, depth.choose)
        depth.note(scored.read_ms + scored.score_ms)
        return _answer(opened, question, depth, found, scored)

    def _answer_each(self, opened: OpenedBoth, questions: Sequence[_Question]) -> list[Answer]:
        depths = [question.depth(opened.costs) for question in questions]
        queries = [question.query for question in questions]
        both = self._stages(opened, questions[0].ask).find_each(queries, [depth.choose for depth in depths])
        num_scored = max(1, sum(len(scored.scores) for _, scored in both))
        answers: list[Answer] = []
        for question, depth, (found, scored) in zip(questions, depths, both, strict=True):
            # Times and reads are those of all, and are counted once.
            depth.note((scored.read_ms + scored.score_ms) * len(scored.scores) / num_scored)
            reads = NO_READS if answers else scored.reads
            answer = _answer(opened, question, depth, found, scored)
            answers.append(replace(answer, reads=reads, batch=len(questions)))
        return answers

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


def _answer(opened: OpenedBoth, question: _Question, depth: Depth, found: Recalled, scored: Reranked) -> Answer:
    timings_ms = {**found.timings_ms, "read": scored.read_ms, "score": scored.score_ms}
    hits = ranked(found.hits, scored, question.ask.k)
    if question.ask.explain:
        start = now()
        places = {hit.clip_id: (hit.shard, hit.row) for hit in found.candidates}
        addresses = {hit.clip_id: places[hit.clip_id] for hit in hits if hit.stage == FINE}
        found_for = explain(question.query.text_D, addresses, opened.fine, opened.manifest.scoring)
        hits = with_explanations(hits, found_for)
        timings_ms["explain"] = elapsed_ms(start)
    return Answer(hits, timings_ms, depth.degraded, scored.reads)
