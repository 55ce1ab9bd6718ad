"""The rows of a collection closest to a query: clips by their coarse vectors, or by their best frames."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pymilvus import MilvusClient

from pipeline.index.collection_schema import METRIC
from pipeline.index.filtered_search import complete
from pipeline.index.frame_search import first_window, group_by_clip
from pipeline.index.hits import CLIP_COLUMNS, CoarseHit, FrameHit, coarse_hit
from pipeline.index.index_choice import FIRST_EF, at_depth
from pipeline.index.milvus_part import BOUNDED, MilvusPart

# What a search passes on that is told nothing else: other indexes than a graph pass over it.
_SEARCH: Mapping[str, int] = {"ef": FIRST_EF}


class CollectionSearch(MilvusPart):
    """Searches by inner product."""

    def search(
        self,
        collection: str,
        queries_QD: np.ndarray,
        limit: int,
        search: Mapping[str, int] = _SEARCH,
        expression: str = "",
    ) -> list[list[CoarseHit]]:
        """The clips with the largest inner product, best first, a list a query.

        Args:
            collection: where.
            queries_QD: float32.
            limit: how many a query; fewer come when the collection holds fewer.
            search: search parameters of the index (`AnnIndex.search`).
            expression: what rows must meet (`filter_expression`); "" for all.

        Raises:
            VectorStoreError: Milvus is away, or has no such collection.
        """
        answers = self._search(collection, queries_QD, limit, CLIP_COLUMNS, search, expression)
        return [[coarse_hit(found["entity"], found["distance"]) for found in answer] for answer in answers]

    def search_keys(
        self, collection: str, queries_QD: np.ndarray, limit: int, search: Mapping[str, int]
    ) -> list[list[str]]:
        """The keys of the rows with the largest inner product, best first: clips, or frames as rows of their own.

        Args:
            collection: of clips or of frames.
            queries_QD: float32.
            limit: how many a query.
            search: search parameters of the index.

        Raises:
            VectorStoreError: Milvus is away, or has no such collection.
        """
        answers = self._search(collection, queries_QD, limit, [], search)
        return [[str(found.id) for found in answer] for answer in answers]

    def search_frames(
        self,
        collection: str,
        text_D: np.ndarray,
        limit: int,
        search: Mapping[str, int] = _SEARCH,
        expression: str = "",
    ) -> list[FrameHit]:
        """The clips whose best frame is closest to a text, best first; ties by clip_id.

        Args:
            collection: one of frames.
            text_D: t, float32, unit.
            limit: how many clips; see `group_by_clip` for when fewer come.
            search: search parameters of the index.
            expression: what rows must meet; "" for all.

        Raises:
            VectorStoreError: Milvus is away, or has no such collection.
        """
        return self.search_frames_batch(collection, text_D[None], limit, search, expression)[0]

    def search_frames_batch(
        self,
        collection: str,
        texts_QD: np.ndarray,
        limit: int,
        search: Mapping[str, int] = _SEARCH,
        expression: str = "",
    ) -> list[list[FrameHit]]:
        """`search_frames` for many texts. Milvus is asked once, and again only for texts that need more frames."""
        first = first_window(limit)

        def frames(asked_QD: np.ndarray, window: int) -> list[list[FrameHit]]:
            answers = self._search(collection, asked_QD, window, ["clip_id"], search, expression)
            return [[FrameHit(found["entity"]["clip_id"], float(found["distance"])) for found in a] for a in answers]

        def grouped(text_D: np.ndarray, known: list[FrameHit]) -> list[FrameHit]:
            return group_by_clip(lambda n: known if n == first else frames(text_D[None], n)[0], limit)

        return [grouped(text_D, known) for text_D, known in zip(texts_QD, frames(texts_QD, first), strict=True)]

    def _search(
        self,
        collection: str,
        queries_QD: np.ndarray,
        limit: int,
        output_fields: list[str],
        search: Mapping[str, int],
        expression: str = "",
    ) -> list[list[Any]]:
        params = {"metric_type": METRIC, "params": at_depth(search, limit)}

        def work(client: MilvusClient) -> list[list[Any]]:
            answers = client.search(
                collection,
                data=list(np.ascontiguousarray(queries_QD, np.float32)),
                filter=expression,
                limit=limit,
                output_fields=output_fields,
                search_params=params,
                consistency_level=BOUNDED,
                timeout=self._call_s,
            )
            if not expression:
                return list(answers)
            return [
                complete(client, collection, query_D, limit, answer, expression, output_fields)
                for query_D, answer in zip(queries_QD, answers, strict=True)
            ]

        return self._milvus.ask_loaded(collection, work)
