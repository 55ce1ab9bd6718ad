"""Recall of an index at build, beside brute force, and the search parameters that reach its target."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipeline.index.exact_top import ExactTop
from pipeline.index.index_choice import FLAT, IndexChoice, raised
from schemas.errors import VectorStoreError
from schemas.manifest import AnnIndex, RecallFigures

K = 50
# Milvus Lite goes through all rows in Python at each call, however many queries it holds.
_AT_ONCE = 64
_SCAN_QUERIES = 16
# queries, limit, search parameters -> keys of the best rows
Search = Callable[[np.ndarray, int, Mapping[str, int]], list[list[str]]]


class RecallCheck:
    """Sees all vectors of a collection pass by, and then compares what searches find.

    Args:
        own_SD: vectors of the collection, float32 and unit.
        target: the share of the best rows that a search should find.
    """

    def __init__(self, own_SD: np.ndarray, target: float) -> None:
        self._target = target
        self._queries_QD = np.concatenate([own_SD, noisy(own_SD)])
        self._own = len(own_SD)
        self._exact = ExactTop(self._queries_QD, K)

    @property
    def dim(self) -> int:
        """D, numbers of a vector."""
        return int(self._queries_QD.shape[1])

    def add(self, keys: Sequence[str], vectors_BD: np.ndarray) -> None:
        """Vectors that are written into the collection, with their keys."""
        self._exact.add(keys, vectors_BD)

    def measure(self, search: Search, choice: IndexChoice, search_with: Mapping[str, int]) -> RecallFigures:
        """The recall with some search parameters."""
        # A scan is exact whatever is asked: a few queries show that it answers.
        asked = min(self._own, _SCAN_QUERIES) if choice.index_type == FLAT else self._own
        own, noisy_ones = (self._share(search, search_with, slice(start, start + asked)) for start in (0, self._own))
        return RecallFigures(k=self._exact.depth, queries=asked, own=own, noisy=noisy_ones, target=self._target)

    def _share(self, search: Search, search_with: Mapping[str, int], queries: slice) -> float:
        answers: list[list[str]] = []
        for start in range(queries.start, queries.stop, _AT_ONCE):
            answers += search(self._queries_QD[start : min(start + _AT_ONCE, queries.stop)], K, search_with)
        return round(float(self._exact.recall(answers, queries.start).mean()), 4)


def tune(check: RecallCheck, search: Search, choice: IndexChoice, what: str) -> tuple[AnnIndex, str]:
    """Double the search parameters until the recall is good enough.

    Args:
        check: has seen all vectors.
        search: in the collection.
        choice: its index.
        what: the rows, in a word.

    Returns:
        how to search, and what was found, in one line.

    Raises:
        VectorStoreError: even the largest parameters find less.
    """
    parameters: dict[str, int] | None = choice.search
    told = ""
    while parameters is not None:
        used, figures = parameters, check.measure(search, choice, parameters)
        if figures.least >= figures.target:
            ann = AnnIndex(params=choice.params, search=used, why=choice.why, recall=figures)
            return ann, f"recall@{figures.k} of {what}: {_figures(figures)}, {choice.index_type} {_told(used)}{told}"
        told = f" (raised from {_told(choice.search)} to reach {figures.target:g})"
        parameters = raised(parameters, choice.params)
    raise VectorStoreError(
        f"recall@{figures.k} of {what} is {_figures(figures)}, below {figures.target:g}, with the largest "
        f"{_told(used)} of {choice.index_type}: take another --index-type, or lower recall_target; nothing was kept"
    )


def noisy(vectors_SD: np.ndarray) -> np.ndarray:
    """The same vectors with noise of their own length added, unit again: at a cosine of 0.7, as texts are far away."""
    noise_SD = np.random.default_rng(0).standard_normal(vectors_SD.shape, np.float32)
    mixed_SD = vectors_SD + _unit(noise_SD)
    return _unit(mixed_SD)


def _unit(vectors_SD: np.ndarray) -> np.ndarray:
    lengths_S1: np.ndarray = np.linalg.norm(vectors_SD, axis=1, keepdims=True)
    unit_SD: np.ndarray = vectors_SD / lengths_S1.clip(1e-12)
    return unit_SD


def _figures(figures: RecallFigures) -> str:
    return f"{figures.own:.3f} for own vectors and {figures.noisy:.3f} for noisy ones"


def _told(parameters: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items()) or "exact"
