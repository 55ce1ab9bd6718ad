"""Brute force while vectors stream by."""

import numpy as np
import pytest

from pipeline.index.exact_top import ExactTop
from tests.tables_factory import unit


@pytest.mark.parametrize("block", [1, 37, 5000])
def test_any_blocks_give_the_best_of_all_rows(block):
    rng = np.random.default_rng(0)
    vectors, queries = unit(rng, 9001, 8), unit(rng, 5, 8)
    top = ExactTop(queries, 20)
    for start in range(0, len(vectors), block):
        part = vectors[start : start + block]
        top.add([f"c{start + i}" for i in range(len(part))], part)
    best = np.argsort(-(queries @ vectors.T), axis=1)
    assert top.depth == 20
    assert top.recall([[f"c{row}" for row in rows[:20]] for rows in best]).tolist() == [1.0] * 5
    assert top.recall([[f"c{row}" for row in rows[10:30]] for rows in best]).tolist() == [0.5] * 5
    assert top.recall([[f"c{row}" for row in best[4][:20]]], first=4).tolist() == [1.0]


def test_of_equal_rows_at_the_last_place_any_counts():
    top = ExactTop(np.array([[1.0, 0.0]], np.float32), 2)
    top.add(["a", "b", "c", "d"], np.array([[1, 0], [0.5, 0], [0.5, 0], [0.1, 0]], np.float32))
    assert [top.recall([answer])[0] for answer in (["a", "b"], ["c", "a"], ["a", "d"])] == [1, 1, 0.5]


def test_fewer_rows_than_asked_for_are_all_best():
    top = ExactTop(np.eye(2, dtype=np.float32), 50)
    top.add(["a", "b"], np.eye(2, dtype=np.float32))
    assert top.depth == 2
    assert top.recall([["b", "a"], ["a"]]).tolist() == [1, 0.5]
