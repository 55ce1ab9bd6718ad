"""Canary queries: the same questions to the version that would go live and to the one that is, compared by rank."""

import statistics
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from pipeline.index.vector_store import VectorStore
from pipeline.search import Searcher
from pipeline.storage import Store, read_input
from schemas.errors import InputError
from schemas.manifest import VersionManifest
from schemas.results import CanaryFigures

DEPTH = 10
_RECALL_K = 50
_MAX_QUERIES = 1000


def read_texts(uri: str) -> list[str]:
    """Canary texts, one a line; empty lines are passed over.

    Raises:
        InputError: the file is missing, is no UTF-8, or holds no text, or more than 1,000.
    """
    try:
        lines = read_input(uri).decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{uri} is no UTF-8 text: write one query a line") from None
    texts = [line.strip() for line in lines if line.strip()]
    if not texts or len(texts) > _MAX_QUERIES:
        raise InputError(f"{uri} holds {len(texts)} queries: write 1 to {_MAX_QUERIES}, one a line")
    return texts


def own_vectors(index: Store, manifest: VersionManifest) -> np.ndarray:
    """The coarse vectors of the clips that a version names for its checks, float32; of those that are still there.

    Raises:
        VectorStoreError: its Milvus is away.
    """
    vectors = VectorStore.open(manifest.milvus, index.root)
    try:
        found = vectors.stored_vectors(manifest.collection, manifest.sample)
        return np.array(list(found.values()), np.float32).reshape(-1, manifest.token_shape.dim)
    finally:
        vectors.close()


def answers_to_vectors(index: Store, manifest: VersionManifest, queries_QD: np.ndarray) -> list[list[str]]:
    """The ten clips of a version that are next to each vector, by stage 1 alone.

    Raises:
        VectorStoreError: its Milvus is away.
    """
    vectors = VectorStore.open(manifest.milvus, index.root)
    try:
        return vectors.search_keys(manifest.collection, queries_QD, DEPTH, manifest.ann.search)
    finally:
        vectors.close()


def answers_to_texts(index: Store, manifest: VersionManifest, texts: Sequence[str]) -> list[list[str]]:
    """The ten clips that a version finds for each text, as a search does, with its own model.

    Raises:
        ReelsiftError: it cannot be searched.
    """
    searcher = Searcher.open_version(index, manifest)
    try:
        return [[hit.clip_id for hit in searcher.search(text, DEPTH, _RECALL_K).hits] for text in texts]
    finally:
        searcher.close()


def compared(
    queries: str, new: VersionManifest, live: VersionManifest, first: list[list[str]], second: list[list[str]]
) -> CanaryFigures:
    """How far the answers of two versions agree; at least one query.

    Args:
        queries: what they are, in a word.
        new: a version.
        live: another.
        first: answers of the new one.
        second: answers of the live one to the same queries.
    """
    pairs = list(zip(first, second, strict=True))
    correlations = [tau for tau in (kendall_tau(a, b) for a, b in pairs) if tau is not None]
    return CanaryFigures(
        queries=queries,
        count=len(pairs),
        version=live.version,
        same_model=new.model_id == live.model_id,
        overlap=round(statistics.fmean(overlap(a, b) for a, b in pairs), 4),
        rank_correlation=round(statistics.fmean(correlations), 4) if correlations else None,
    )


def overlap(first: Sequence[str], second: Sequence[str]) -> float:
    """The share of the longer of two answers that both hold.

    >>> overlap(["a", "b", "c", "d"], ["b", "a", "x", "d"]), overlap([], [])
    (0.75, 1.0)
    """
    longer = max(len(first), len(second))
    return len(set(first) & set(second)) / longer if longer else 1.0


def kendall_tau(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Kendall's rank correlation of what both answers hold, -1 to 1; None if that is less than two.

    >>> kendall_tau(["a", "b", "c"], ["a", "c", "b", "x"])
    0.3333333333333333
    >>> kendall_tau(["a", "b"], ["b", "c"]) is None
    True
    """
    place = {clip: rank for rank, clip in enumerate(second)}
    common = [place[clip] for clip in first if clip in place]
    pairs = list(combinations(common, 2))
    return sum(1 if a < b else -1 for a, b in pairs) / len(pairs) if pairs else None
