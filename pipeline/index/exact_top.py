"""The exact best rows of some queries, found while vectors stream by: what an approximate index is compared with."""

from collections.abc import Sequence

import numpy as np

# Scores this close are the same: Milvus may show either row.
_TIE = 1e-6
_BLOCK = 4096


class ExactTop:
    """Brute force in one pass: of all rows, the best 2 k of each query are held, and a block that waits.

    Args:
        queries_QD: float32.
        k: how many best rows count; with ties at the last place any of the tied.
    """

    def __init__(self, queries_QD: np.ndarray, k: int) -> None:
        self._queries_QD = np.ascontiguousarray(queries_QD, np.float32)
        self._k = k
        self._scores_QT = np.empty((len(queries_QD), 0), np.float32)
        self._ids_QT = np.empty((len(queries_QD), 0), object)
        self._waiting: list[tuple[Sequence[str], np.ndarray]] = []
        self._rows_waiting = 0

    def add(self, ids: Sequence[str], vectors_BD: np.ndarray) -> None:
        """Take rows into account.

        Args:
            ids: their keys.
            vectors_BD: float32; held until some thousands of rows have come, which then cost one partial sort.
        """
        self._waiting.append((ids, vectors_BD))
        self._rows_waiting += len(ids)
        if self._rows_waiting >= _BLOCK:
            self._merge()

    def _merge(self) -> None:
        if not self._waiting:
            return
        new_ids_B = np.array([row_id for ids, _ in self._waiting for row_id in ids], object)
        vectors_BD = np.concatenate([vectors for _, vectors in self._waiting])
        self._waiting, self._rows_waiting = [], 0
        held = self._scores_QT.shape[1]
        scores_QN = np.concatenate([self._scores_QT, self._queries_QD @ vectors_BD.T], axis=1)
        depth = min(2 * self._k, scores_QN.shape[1])
        best_QT = np.argpartition(-scores_QN, depth - 1, axis=1)[:, :depth]
        self._scores_QT = np.take_along_axis(scores_QN, best_QT, axis=1)
        ids_QT = np.empty((len(best_QT), depth), object)
        for ids_T, best_T, old_T in zip(ids_QT, best_QT, self._ids_QT, strict=True):
            kept_T = best_T < held
            ids_T[kept_T] = old_T[best_T[kept_T]]
            ids_T[~kept_T] = new_ids_B[best_T[~kept_T] - held]
        self._ids_QT = ids_QT

    @property
    def depth(self) -> int:
        """How many best rows there are: k, or all rows if they are fewer."""
        self._merge()
        return min(self._k, self._scores_QT.shape[1])

    def recall(self, answers: Sequence[Sequence[str]], first: int = 0) -> np.ndarray:
        """The share of the best rows that an index found, a number a query.

        Args:
            answers: keys of the rows that it gave, a list a query.
            first: the query that the first answer is to.

        >>> top = ExactTop(np.eye(2, dtype=np.float32), k=2)
        >>> top.add(["a", "b", "c"], np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32))
        >>> top.recall([["a", "b"], ["c", "a"]]).tolist()
        [1.0, 0.5]
        """
        depth = self.depth
        if not depth:
            return np.ones(len(answers))
        asked = slice(first, first + len(answers))
        shares = []
        for scores_T, ids_T, answer in zip(self._scores_QT[asked], self._ids_QT[asked], answers, strict=True):
            last = np.partition(scores_T, -depth)[-depth]
            right = set(ids_T[scores_T >= last - _TIE])
            shares.append(min(depth, len(right.intersection(answer[:depth]))) / depth)
        return np.array(shares)
