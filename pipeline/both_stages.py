"""Both stages of a query on one version, as search and service run them alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.candidates import share
from pipeline.index.fine_store import FineStore, Tier
from pipeline.index.vector_store import VectorStore
from pipeline.ranking import EncodedQuery, Reranked
from pipeline.recall import Recalled, recall
from pipeline.recall_batch import recall_batch
from pipeline.rerank import rerank
from pipeline.rerank_batch import rerank_batch
from schemas.manifest import VersionManifest
from schemas.recall import RecallMode

# Of so many candidates, so many are scored, by so much of their records.
Depth = Callable[[int], tuple[int, Tier]]
# The same, where so many of others are scored at the same time.
DepthBeside = Callable[[int, int], tuple[int, Tier]]


def all_of_them(candidates: int) -> tuple[int, Tier]:
    """The second stage in full.

    >>> all_of_them(50)
    (50, 'all')
    """
    return candidates, "all"


def _by_itself(depth: DepthBeside) -> Depth:
    return lambda candidates: depth(candidates, 0)


@dataclass(frozen=True)
class Stages:
    """The stores of a version, and how its candidates are found.

    Attributes:
        vectors: where the collections are.
        fine: the fine tokens of the same revision as the manifest.
        manifest: the version.
        mode: how candidates are found.
        k: how many clips will be shown.
        recall_k: how many candidates there may be.
        threads: that share the scoring.
    """

    vectors: VectorStore
    fine: FineStore
    manifest: VersionManifest
    mode: RecallMode
    k: int
    recall_k: int
    threads: int = 1

    def find(self, query: EncodedQuery, depth: Depth = all_of_them) -> tuple[Recalled, Reranked]:
        """Candidates, and the fine scores of the first of them.

        Milvus may name a clip for some seconds after it was deleted or replaced. Its record is a hole, and others are
        found in its place.

        Args:
            query: the text.
            depth: how many candidates are scored, asked when they are known.

        Raises:
            IndexCorruptError: a record is not that of the clip it was read for.
            VectorStoreError: Milvus is away or refuses.
        """
        return self._find(query, depth, set())

    def find_batch(
        self, queries: Sequence[EncodedQuery], depth: Depth = all_of_them
    ) -> list[tuple[Recalled, Reranked]]:
        """The same for many texts: Milvus is asked once, and a clip that many have as a candidate is read once.

        The times of each are those of the whole.

        Args:
            queries: the texts; all have the same expression.
            depth: as for one, of the candidates of all together.
        """
        found = recall_batch(self.vectors, self.manifest, queries, self.mode, self.k, self.recall_k)
        wanted = sum(len(one.candidates) for one in found)
        count, tier = depth(wanted)
        texts_QD = np.stack([query.text_D for query in queries])
        candidates = [one.candidates[: share(count, wanted, len(one.candidates))] for one in found]
        scored = rerank_batch(texts_QD, candidates, self.fine, self.manifest.scoring, self.threads, tier)
        return [
            self._find(query, depth, set(fine.holes)) if fine.holes else (coarse, fine)
            for query, coarse, fine in zip(queries, found, scored, strict=True)
        ]

    def find_each(
        self, queries: Sequence[EncodedQuery], depths: Sequence[DepthBeside]
    ) -> list[tuple[Recalled, Reranked]]:
        """As `find_batch`, for texts that have only come at the same time: each has a depth of its own.

        Args:
            queries: the texts; all have the same expression.
            depths: of each, asked when the candidates of all are known.
        """
        found = recall_batch(self.vectors, self.manifest, queries, self.mode, self.k, self.recall_k)
        counts = [len(one.candidates) for one in found]
        chosen = [depth(count, sum(counts) - count) for depth, count in zip(depths, counts, strict=True)]
        scored: dict[int, Reranked] = {}
        for tier in {tier for _, tier in chosen}:
            places = [place for place, (_, its) in enumerate(chosen) if its == tier]
            texts_QD = np.stack([queries[place].text_D for place in places])
            candidates = [found[place].candidates[: chosen[place][0]] for place in places]
            reranked = rerank_batch(texts_QD, candidates, self.fine, self.manifest.scoring, self.threads, tier)
            scored |= zip(places, reranked, strict=True)
        return [
            self._find(query, _by_itself(depth), set(scored[place].holes))
            if scored[place].holes
            else (found[place], scored[place])
            for place, (query, depth) in enumerate(zip(queries, depths, strict=True))
        ]

    def _find(self, query: EncodedQuery, depth: Depth, holes: set[str]) -> tuple[Recalled, Reranked]:
        while True:
            found = recall(self.vectors, self.manifest, query, self.mode, self.k, self.recall_k, holes)
            count, tier = depth(len(found.candidates))
            scored = rerank(
                query.text_D, found.candidates[:count], self.fine, self.manifest.scoring, self.threads, tier
            )
            if not scored.holes:
                return found, scored
            holes |= scored.holes
