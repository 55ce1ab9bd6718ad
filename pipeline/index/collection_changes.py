"""Collections made, filled, indexed, named and removed."""

import time
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from pymilvus import MilvusClient, MilvusException

from pipeline.index.collection_schema import CALL_S, make_clip_collection, make_frame_collection, make_index
from pipeline.index.index_choice import standard_params
from pipeline.index.milvus_client import is_away
from pipeline.index.milvus_connection import LOAD_S
from pipeline.index.milvus_part import MilvusPart
from schemas.errors import VectorStoreError
from schemas.fields import FilterField
from schemas.manifest import IndexParams

_WRITE_WAITS_S = (0.5, 2.0, 8.0, 30.0)
_STALL_S = 3600
_BUSY = ("timeout", "deadline", "rate limit", "rate exceeds", "not ready", "quota", "memory", "too many")


class CollectionChanges(MilvusPart):
    """Whatever changes what Milvus holds."""

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

    def collections(self) -> list[str]:
        """Names of all collections."""
        return sorted(self._milvus.ask(lambda client: client.list_collections(timeout=CALL_S)))

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


def check_finite(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse vectors that are not finite: Milvus Lite would take NaN, and from then on answer nonsense.

    Raises:
        VectorStoreError: a row has one; its clip is named.
    """
    if not np.isfinite(np.concatenate([row["v"] for row in rows])).all():
        clip_id = next(row["clip_id"] for row in rows if not np.isfinite(row["v"]).all())
        raise VectorStoreError(f"clip {clip_id} has a vector that is not finite: extract its video anew")


def _may_pass(cause: BaseException | None) -> bool:
    # A refusal of these rows stays one; what has to do with load, timing or the connection may not.
    if cause is None:
        return False
    text = str(cause).lower()
    return is_away(cause) or any(word in text for word in _BUSY)
