"""Rows of a collection by their keys or by a condition, and how many there are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pymilvus import MilvusClient

from pipeline.index.collection_schema import CALL_S
from pipeline.index.hits import CLIP_COLUMNS, CoarseHit, coarse_hit
from pipeline.index.milvus_part import BOUNDED, MilvusPart

# With their vectors some hundred rows stay far below the largest message that Milvus takes.
_LOOK_UP_ROWS = 500


class CollectionReads(MilvusPart):
    """Look-ups: what a search does not rank."""

    def rows(
        self, collection: str, expression: str, columns: list[str], limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Rows by a condition, all acknowledged writes included.

        Args:
            collection: where.
            expression: a filter of Milvus, made of nothing that a user typed.
            columns: wanted.
            limit: of rows; all come without it.
        """
        most = {} if limit is None else {"limit": limit}

        def work(client: MilvusClient) -> list[dict[str, Any]]:
            found = client.query(
                collection,
                filter=expression,
                output_fields=columns,
                consistency_level="Strong",
                timeout=CALL_S,
                **most,
            )
            return list(found)

        return self._milvus.ask_loaded(collection, work)

    def count(self, collection: str) -> int:
        """Exact number of rows, all acknowledged writes included."""
        column = "count(*)"

        def work(client: MilvusClient) -> int:
            rows = client.query(
                collection, filter="", output_fields=[column], consistency_level="Strong", timeout=CALL_S
            )
            return int(rows[0][column])

        return self._milvus.ask_loaded(collection, work)

    def look_up(self, collection: str, clip_ids: Sequence[str], query_D: np.ndarray) -> list[CoarseHit]:
        """Clips by their ids, in that order, each with the score that a search for `query_D` gives it.

        Those that the collection does not have, since they were deleted a moment ago, are left out.

        Args:
            collection: one of clips.
            clip_ids: any, each once.
            query_D: float32.

        Raises:
            VectorStoreError: Milvus is away, or has no such collection.
        """
        return self.look_up_batch(collection, [clip_ids], query_D[None])[0]

    def look_up_batch(
        self, collection: str, clip_ids: Sequence[Sequence[str]], queries_QD: np.ndarray
    ) -> list[list[CoarseHit]]:
        """`look_up` for many queries: a clip that several ask for is read once, and all by as few calls as may be.

        Args:
            collection: one of clips.
            clip_ids: of each query.
            queries_QD: float32.

        Raises:
            VectorStoreError: Milvus is away, or has no such collection.
        """
        wanted = list(dict.fromkeys(clip_id for asked in clip_ids for clip_id in asked))
        found: dict[str, dict[str, Any]] = {}
        for first in range(0, len(wanted), _LOOK_UP_ROWS):
            found |= self._rows_of(collection, wanted[first : first + _LOOK_UP_ROWS])
        return [
            _scored_rows([found[clip_id] for clip_id in asked if clip_id in found], query_D)
            for asked, query_D in zip(clip_ids, queries_QD, strict=True)
        ]

    def stored_vectors(self, collection: str, clip_ids: Sequence[str]) -> dict[str, np.ndarray]:
        """The coarse vectors of clips, float32, in the order asked for; those that are not there are left out.

        Args:
            collection: one of clips.
            clip_ids: some hundred at most.

        Raises:
            VectorStoreError: Milvus is away, or has no such collection.
        """

        def work(client: MilvusClient) -> list[dict[str, Any]]:
            columns = ["clip_id", "v"]
            return list(
                client.get(collection, list(clip_ids), columns, timeout=self._call_s, consistency_level=BOUNDED)
            )

        rows = self._milvus.ask_loaded(collection, work) if clip_ids else []
        found = {row["clip_id"]: np.asarray(row["v"], np.float32) for row in rows}
        return {clip_id: found[clip_id] for clip_id in clip_ids if clip_id in found}

    def values(self, collection: str, clip_id: str, columns: Sequence[str]) -> dict[str, Any] | None:
        """Columns of one clip, or None if the collection does not have it.

        Args:
            collection: one of clips.
            clip_id: of letters and digits.
            columns: wanted.

        Raises:
            VectorStoreError: Milvus is away, or has no such collection.
        """

        def work(client: MilvusClient) -> list[dict[str, Any]]:
            wanted = list(columns)
            return list(client.get(collection, [clip_id], wanted, timeout=self._call_s, consistency_level=BOUNDED))

        rows = self._milvus.ask_loaded(collection, work)
        return dict(rows[0]) if rows else None

    def addresses(self, collection: str, clip_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Shard and row of clips, by their ids; those that the collection does not have are left out.

        Args:
            collection: one of clips.
            clip_ids: some hundred at most; a message to Milvus has a largest size.

        Raises:
            VectorStoreError: Milvus is away, or has no such collection.
        """

        def work(client: MilvusClient) -> list[dict[str, Any]]:
            columns = ["clip_id", "shard", "row"]
            return list(client.get(collection, list(clip_ids), columns, timeout=CALL_S, consistency_level=BOUNDED))

        rows = self._milvus.ask_loaded(collection, work) if clip_ids else []
        return {row["clip_id"]: (int(row["shard"]), int(row["row"])) for row in rows}

    def _rows_of(self, collection: str, clip_ids: list[str]) -> dict[str, dict[str, Any]]:
        def work(client: MilvusClient) -> list[dict[str, Any]]:
            columns = [*CLIP_COLUMNS, "v"]
            return list(client.get(collection, clip_ids, columns, timeout=self._call_s, consistency_level=BOUNDED))

        return {row["clip_id"]: row for row in self._milvus.ask_loaded(collection, work)}


def _scored_rows(rows: Sequence[dict[str, Any]], query_D: np.ndarray) -> list[CoarseHit]:
    if not rows:
        return []
    scores = np.array([row["v"] for row in rows], np.float32) @ query_D
    return [coarse_hit(row, score) for row, score in zip(rows, scores, strict=True)]
