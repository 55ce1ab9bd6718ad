"""Both stages of a query on one version, as search and service run them alike."""

from pipeline.index.fine_store import FineStore
from pipeline.index.vector_store import VectorStore
from pipeline.ranking import EncodedQuery, Reranked
from pipeline.recall import Recalled, recall
from pipeline.rerank import rerank
from schemas.manifest import VersionManifest
from schemas.recall import RecallMode


def find(
    vectors: VectorStore,
    fine: FineStore,
    manifest: VersionManifest,
    query: EncodedQuery,
    mode: RecallMode,
    k: int,
    recall_k: int,
    threads: int = 1,
) -> tuple[Recalled, Reranked]:
    """Candidates and their fine scores.

    Milvus may name a clip for some seconds after it was deleted or replaced. Its record is a hole, and others are found
    in its place.

    Args:
        vectors: where the collections are.
        fine: the fine tokens of the same revision as the manifest.
        manifest: the version.
        query: the text.
        mode: how candidates are found.
        k: how many clips will be shown.
        recall_k: how many candidates are scored.
        threads: that share the scoring.

    Raises:
        IndexCorruptError: a record is not that of the clip it was read for.
        VectorStoreError: Milvus is away or refuses.
    """
    holes: set[str] = set()
    while True:
        found = recall(vectors, manifest, query, mode, k, recall_k, holes)
        scored = rerank(query.text_D, found.candidates, fine, manifest.scoring, threads)
        if not scored.holes:
            return found, scored
        holes |= scored.holes
