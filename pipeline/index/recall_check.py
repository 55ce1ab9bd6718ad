"""Recall of an index at build, beside brute force, and the search parameters that reach its target."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipeline.index.exact_top import ExactTop
from pipeline.index.index_choice import IndexChoice, raised
from schemas.errors import VectorStoreError
from schemas.manifest import AnnIndex, RecallFigures

K = 50
# Milvus Lite goes through all rows in Python at each call, however many queries it holds.
_AT_ONCE = 64
# queries, limit, search parameters -> keys of the best rows
Search = Callable[[np.ndarray, int, Mapping[str, int]], list[list[str]]]


class RecallCheck:
    """Sees all vectors of a collection pass by, and then compares what searches find.

    Args:
        own_SD: vectors of the collection, float32 and unit.
    """

    def __init__(self, own_SD: np.ndarray) -> None:
        self._queries_QD = np.concatenate([own_SD, noisy(own_SD)])
        self._own = len(own_SD)
        self._exact = ExactTop(self._queries_QD, K)

    def add(self, keys: Sequence[str], vectors_BD: np.ndarray) -> None:
        """Vectors that are written into the collection, with their keys."""
        self._exact.add(keys, vectors_BD)

    def measure(self, search: Search, parameters: Mapping[str, int], target: float) -> RecallFigures:
        """The recall with some search parameters."""
        answers: list[list[str]] = []
        for start in range(0, len(self._queries_QD), _AT_ONCE):
            answers += search(self._queries_QD[start : start + _AT_ONCE], K, parameters)
        shares_Q = self._exact.recall(answers)
        own, noisy_share = float(shares_Q[: self._own].mean()), float(shares_Q[self._own :].mean())
        return RecallFigures(
            k=self._exact.depth, queries=self._own, own=round(own, 4), noisy=round(noisy_share, 4), target=target
        )


def tune(check: RecallCheck, search: Search, choice: IndexChoice, target: float, what: str) -> tuple[AnnIndex, str]:
    """Double the search parameters until the recall is good enough.

    Args:
        check: has seen all vectors.
        search: in the collection.
        choice: its index.
        target: the share that both kinds of queries must reach.
        what: the rows, in a word.

    Returns:
        how to search, and what was found, in one line.

    Raises:
        VectorStoreError: even the largest parameters find less.
    """
    parameters: dict[str, int] | None = choice.search
    told = ""
    while parameters is not None:
        used, figures = parameters, check.measure(search, parameters, target)
        if figures.least >= target:
            ann = AnnIndex(params=choice.params, search=used, why=choice.why, recall=figures)
            return ann, f"recall@{figures.k} of {what}: {_figures(figures)}, {choice.index_type} {_told(used)}{told}"
        told = f" (raised from {_told(choice.search)} to reach {target:g})"
        parameters = raised(parameters, choice.params)
    raise VectorStoreError(
        f"recall@{figures.k} of {what} is {_figures(figures)}, below {target:g}, with the largest {_told(used)} of "
        f"{choice.index_type}: take another --index-type, or lower --set recall_target; nothing was kept"
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
