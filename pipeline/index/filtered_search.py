"""Searches under a filter that let few rows pass: a graph may then give fewer than there are, and a scan gives all."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from pymilvus import MilvusClient

from pipeline.index.collection_schema import CALL_S

# Rows that a scan reads at most: their vectors, 2 KiB each at D = 512, come in one message. Beyond so many that pass, a
# graph finds as many as one asks for.
MAX_SCAN: Final = 8192
_COUNT = "count(*)"


def complete(
    client: MilvusClient,
    collection: str,
    query_D: np.ndarray,
    limit: int,
    answer: Sequence[Any],
    expression: str,
    output_fields: Sequence[str],
) -> list[Any]:
    """The answer to a filtered search with all the rows that it should have.

    Args:
        client: of the Milvus.
        collection: loaded.
        query_D: float32.
        limit: how many were asked for.
        answer: what came, best first.
        expression: the filter.
        output_fields: columns wanted.

    Returns:
        the answer as it is, or one of the same form made by comparing every row that passes.
    """
    if len(answer) >= limit:
        return list(answer)
    settings = {"filter": expression, "consistency_level": "Bounded", "timeout": CALL_S}
    passing = int(client.query(collection, output_fields=[_COUNT], **settings)[0][_COUNT])
    if not len(answer) < passing <= MAX_SCAN:
        return list(answer)
    rows = client.query(collection, output_fields=[*output_fields, "v"], limit=MAX_SCAN, **settings)
    scores_N = np.array([row["v"] for row in rows], np.float32) @ query_D
    best = np.argsort(-scores_N, kind="stable")[:limit].tolist()
    return [{"entity": rows[n], "distance": float(scores_N[n])} for n in best]
