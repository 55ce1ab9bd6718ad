"""Coarse vectors and frame vectors in Milvus: one interface over Milvus Lite in INDEX and a Milvus server."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from math import ceil
from typing import Any, Self

import numpy as np
from pymilvus import MilvusClient, MilvusException

from pipeline.index.collection_schema import (
    CALL_S,
    METRIC,
    make_clip_collection,
    make_frame_collection,
    make_index,
)
from pipeline.index.filtered_search import complete
from pipeline.index.frame_search import first_window, group_by_clip
from pipeline.index.hits import CoarseHit, FrameHit
from pipeline.index.index_choice import FIRST_EF, at_depth, standard_params
from pipeline.index.milvus_client import is_away
from pipeline.index.milvus_connection import LOAD_S, MilvusConnection
from pipeline.index.server_imports import ServerImports
from schemas.errors import VectorStoreError
from schemas.fields import FilterField
from schemas.manifest import IndexParams

# What a search passes on that is told nothing else: other indexes than a graph pass over it.
_SEARCH: Mapping[str, int] = {"ef": FIRST_EF}
_WRITE_WAITS_S = (0.5, 2.0, 8.0, 30.0)
_STALL_S = 3600
# Strong waits for the server's next time tick, 200 ms; a version never changes once published.
_BOUNDED = "Bounded"
# With their vectors some hundred rows stay far below the largest message that Milvus takes.
_LOOK_UP_ROWS = 500
_OUTPUT = [field.name for field in fields(CoarseHit) if field.name != "coarse_score"]


class VectorStore:
    """Collections of one Milvus. Safe for threads. Use `open`.

    Args:
        milvus: the connection; closed with the store.
        call_s: whole seconds that a search or a look-up may take.
    """

    def __init__(self, milvus: MilvusConnection, call_s: int = CALL_S) -> None:
        self._milvus = milvus
        self._call_s = call_s

    @classmethod
    def open(cls, milvus: str, index_root: str, call_s: int = CALL_S) -> Self:
        """Connect.

        Args:
            milvus: "lite", or http(s)://host:port; a token comes from the environment, REELSIFT_MILVUS_TOKEN.
            index_root: the index, in which Milvus Lite keeps its directory.
            call_s: whole seconds that a search or a look-up may take.

        Raises:
            UsageError: an address that is none, or Milvus Lite in an object store.
            VectorStoreError: Milvus is away.
        """
        return cls(MilvusConnection.open(milvus, index_root), call_s)

    def create(self, collection: str, dim: int, fields: Sequence[FilterField] = ()) -> None:
        """Make an empty collection of clips, with columns for `fields`; one of that name is replaced."""
        self._milvus.ask(lambda client: make_clip_collection(client, collection, dim, fields))

    def create_frames(self, collection: str, dim: int, fields: Sequence[FilterField] = ()) -> None:
        """Make an empty collection of frames, with columns for `fields`; one of that name is replaced."""
        self._milvus.ask(lambda client: make_frame_collection(client, collection, dim, fields))

    def insert(self, collection: str, rows: list[dict[str, Any]], *, fresh: bool = False) -> None:
        """Write rows with the columns of the collection; `v` is float32 and unit.

        A row whose key is there already is replaced, so a retry doubles nothing.

        Args:
            collection: where.
            rows: what.
            fresh: none of their keys is there. A server then takes them in two thirds of the time; only what must be
                tried again, and may be there by then, replaces.

        Raises:
            VectorStoreError: a vector is not finite, or Milvus does not take the rows even after some tries.
        """
        check_finite(rows)
        tried = not fresh

        def write(client: MilvusClient) -> None:
            nonlocal tried
            put, tried = client.upsert if tried else client.insert, True
            put(collection, rows, timeout=CALL_S)

        for wait_s in _WRITE_WAITS_S:
            try:
                self._milvus.ask(write)
            except VectorStoreError as error:
                if not _may_pass(error.__cause__):
                    raise
                time.sleep(wait_s)
            else:
                return
        self._milvus.ask(write)

    def delete(self, collection: str, keys: list[str]) -> None:
        """Remove rows by their primary keys; those that are not there are no error."""
        self._milvus.ask_loaded(collection, lambda client: client.delete(collection, ids=keys, timeout=CALL_S))

    def flush(self, collection: str) -> None:
        """Make all that was written or removed durable."""
        self._milvus.ask(lambda client: client.flush(collection, timeout=LOAD_S))

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

    @property
    def imports(self) -> ServerImports:
        """The import interface; Milvus Lite has none."""
        return ServerImports(self._milvus)

    @property
    def version(self) -> str:
        """What this Milvus says its version is."""
        return self._milvus.ask(lambda client: str(client.get_server_version(timeout=CALL_S)))

    def flush_and_load(
        self, collection: str, index_type: str, params: IndexParams | None = None, stall_s: float = _STALL_S
    ) -> None:
        """Make all rows durable, index and load them; returns when searches are fast and counts exact.

        Args:
            collection: where.
            index_type: one that this Milvus has.
            params: of the index; None for those of a small collection.
            stall_s: how long not one row more may get indexed.

        Raises:
            VectorStoreError: Milvus is away, refuses, or does not go on.
        """
        built_with = standard_params(index_type, 0) if params is None else params
        self._milvus.ask(lambda client: client.flush(collection, timeout=LOAD_S))
        self._milvus.ask(lambda client: make_index(client, collection, index_type, built_with, stall_s))
        # Milvus Lite makes its index only here.
        wait_s = max(LOAD_S, ceil(stall_s))
        self._milvus.ask(lambda client: client.load_collection(collection, timeout=wait_s))

    def count(self, collection: str) -> int:
        """Exact number of rows, all acknowledged writes included."""
        column = "count(*)"

        def work(client: MilvusClient) -> int:
            rows = client.query(
                collection, filter="", output_fields=[column], consistency_level="Strong", timeout=CALL_S
            )
            return int(rows[0][column])

        return self._milvus.ask_loaded(collection, work)

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
        answers = self._search(collection, queries_QD, limit, _OUTPUT, search, expression)
        return [[_coarse_hit(found["entity"], found["distance"]) for found in answer] for answer in answers]

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

    def _rows_of(self, collection: str, clip_ids: list[str]) -> dict[str, dict[str, Any]]:
        def work(client: MilvusClient) -> list[dict[str, Any]]:
            columns = [*_OUTPUT, "v"]
            return list(client.get(collection, clip_ids, columns, timeout=self._call_s, consistency_level=_BOUNDED))

        return {row["clip_id"]: row for row in self._milvus.ask_loaded(collection, work)}

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
                client.get(collection, list(clip_ids), columns, timeout=self._call_s, consistency_level=_BOUNDED)
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
            return list(client.get(collection, [clip_id], wanted, timeout=self._call_s, consistency_level=_BOUNDED))

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
            return list(client.get(collection, list(clip_ids), columns, timeout=CALL_S, consistency_level=_BOUNDED))

        rows = self._milvus.ask_loaded(collection, work) if clip_ids else []
        return {row["clip_id"]: (int(row["shard"]), int(row["row"])) for row in rows}

    def set_alias(self, alias: str, collection: str) -> None:
        """Let an alias name this collection from now on."""
        present = self.resolve_alias(alias)
        if present is None:
            self._milvus.ask(lambda client: client.create_alias(collection, alias, timeout=CALL_S))
        elif present != collection:
            self._milvus.ask(lambda client: client.alter_alias(collection, alias, timeout=CALL_S))

    def resolve_alias(self, alias: str) -> str | None:
        """The collection that an alias names, or None."""

        def work(client: MilvusClient) -> str | None:
            try:
                return str(client.describe_alias(alias, timeout=CALL_S)["collection_name"])
            except (MilvusException, KeyError) as error:
                if is_away(error) or "alias" not in str(error):
                    raise
                return None

        return self._milvus.ask(work)

    def collections(self) -> list[str]:
        """Names of all collections."""
        return sorted(self._milvus.ask(lambda client: client.list_collections(timeout=CALL_S)))

    def drop(self, collection: str) -> None:
        """Remove a collection and the aliases that lead to it; a missing one is no error."""

        def work(client: MilvusClient) -> None:
            if not client.has_collection(collection, timeout=CALL_S):
                return
            # A server keeps a collection as long as an alias leads to it.
            for alias in client.list_aliases(collection, timeout=CALL_S)["aliases"]:
                client.drop_alias(alias, timeout=CALL_S)
            client.drop_collection(collection, timeout=CALL_S)

        self._milvus.ask(work)
        self._milvus.forget(collection)

    def renew(self) -> None:
        """Connect anew, after Milvus was away.

        Raises:
            VectorStoreError: it still is.
        """
        self._milvus.renew()

    def close(self) -> None:
        """Disconnect; Milvus Lite closes its directory when nobody in this process uses it any more."""
        self._milvus.close()

    @property
    def place(self) -> str:
        """What error messages call this Milvus."""
        return self._milvus.place

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
                consistency_level=_BOUNDED,
                timeout=self._call_s,
            )
            if not expression:
                return list(answers)
            return [
                complete(client, collection, query_D, limit, answer, expression, output_fields)
                for query_D, answer in zip(queries_QD, answers, strict=True)
            ]

        return self._milvus.ask_loaded(collection, work)


def check_finite(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse vectors that are not finite: Milvus Lite would take NaN, and from then on answer nonsense.

    Raises:
        VectorStoreError: a row has one; its clip is named.
    """
    if not np.isfinite(np.concatenate([row["v"] for row in rows])).all():
        clip_id = next(row["clip_id"] for row in rows if not np.isfinite(row["v"]).all())
        raise VectorStoreError(f"clip {clip_id} has a vector that is not finite: extract its video anew")


def _scored_rows(rows: Sequence[dict[str, Any]], query_D: np.ndarray) -> list[CoarseHit]:
    if not rows:
        return []
    scores = np.array([row["v"] for row in rows], np.float32) @ query_D
    return [_coarse_hit(row, score) for row, score in zip(rows, scores, strict=True)]


def _coarse_hit(row: Any, score: float) -> CoarseHit:
    return CoarseHit(**{name: row[name] for name in _OUTPUT}, coarse_score=float(score))


def _may_pass(cause: BaseException | None) -> bool:
    # A refusal of these rows stays one; what has to do with load, timing or the connection may not.
    if cause is None:
        return False
    text = str(cause).lower()
    return is_away(cause) or any(word in text for word in _BUSY)


_BUSY = ("timeout", "deadline", "rate limit", "rate exceeds", "not ready", "quota", "memory", "too many")
