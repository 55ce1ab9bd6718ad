"""The exact best rows of some queries, found while vectors stream by: what an approximate index is compared with."""

from collections.abc import Sequence

import numpy as np

# Scores this close are the same: Milvus may show either row.
_TIE = 1e-6


class ExactTop:
    """Brute force in one pass: of all rows, only the best 2 k of each query are held.

    Args:
        queries_QD: float32.
        k: how many best rows count; with ties at the last place any of the tied.
    """

    def __init__(self, queries_QD: np.ndarray, k: int) -> None:
        self._queries_QD = np.ascontiguousarray(queries_QD, np.float32)
        self._k = k
        self._scores_QT = np.empty((len(queries_QD), 0), np.float32)
        self._ids_QT = np.empty((len(queries_QD), 0), object)

    def add(self, ids: Sequence[str], vectors_BD: np.ndarray) -> None:
        """Take rows into account.

        Args:
            ids: their keys.
            vectors_BD: float32.
        """
        scores_QB = self._queries_QD @ np.asarray(vectors_BD, np.float32).T
        scores_QN = np.concatenate([self._scores_QT, scores_QB], axis=1)
        kept = scores_QN.shape[1] - self._scores_QT.shape[1]
        new_ids_QB = np.broadcast_to(np.asarray(ids, object), (len(self._queries_QD), kept))
        ids_QN = np.concatenate([self._ids_QT, new_ids_QB], axis=1)
        depth = min(2 * self._k, scores_QN.shape[1])
        best_QT = np.argpartition(-scores_QN, depth - 1, axis=1)[:, :depth] if depth else np.empty((0, 0), int)
        if depth:
            self._scores_QT = np.take_along_axis(scores_QN, best_QT, axis=1)
            self._ids_QT = np.take_along_axis(ids_QN, best_QT, axis=1)

    @property
    def depth(self) -> int:
        """How many best rows there are: k, or all rows if they are fewer."""
        return min(self._k, self._scores_QT.shape[1])

    def recall(self, answers: Sequence[Sequence[str]]) -> np.ndarray:
        """The share of the best rows that an index found, a number a query.

        Args:
            answers: keys of the rows that it gave, a list a query.

        >>> top = ExactTop(np.eye(2, dtype=np.float32), k=2)
        >>> top.add(["a", "b", "c"], np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32))
        >>> top.recall([["a", "b"], ["c", "a"]]).tolist()
        [1.0, 0.5]
        """
        depth = self.depth
        if not depth:
            return np.ones(len(answers))
        last_Q = np.partition(self._scores_QT, -depth, axis=1)[:, -depth]
        shares = []
        for scores_T, ids_T, last, answer in zip(self._scores_QT, self._ids_QT, last_Q, answers, strict=True):
            right = set(ids_T[scores_T >= last - _TIE])
            shares.append(min(depth, len(right.intersection(answer[:depth]))) / depth)
        return np.array(shares)
