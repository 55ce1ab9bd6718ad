"""Coarse vectors in Milvus: one interface over Milvus Lite in INDEX and a Milvus server."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar

import grpc
import numpy as np
from pymilvus import MilvusClient, MilvusException

from pipeline.index.collection_schema import CALL_S, METRIC, make_collection, make_index
from pipeline.index.lite_owner import LiteOwner
from pipeline.index.milvus_client import NOT_LOADED, TOKEN_VARIABLE, check_uri, code_of, connect, explain, is_away
from pipeline.storage import is_remote
from schemas.errors import UsageError, VectorStoreError
from schemas.manifest import LITE

_T = TypeVar("_T")
# 200, not the usual 64: at 64 a graph of 100,000 loses a tenth of the best 50.
_EF = 200
_LOAD_S = 600
_WRITE_WAITS_S = (0.5, 2.0, 8.0)
_FAULTS = (MilvusException, grpc.RpcError)


@dataclass(frozen=True)
class CoarseHit:
    """One clip of stage 1: what Milvus knows of it, where its fine record is, and S_vid without the logit scale."""

    clip_id: str
    video_id: str
    uri: str
    start_s: float
    end_s: float
    shard: int
    row: int
    coarse_score: float


_OUTPUT = [field.name for field in fields(CoarseHit) if field.name != "coarse_score"]


class VectorStore:
    """Collections of one Milvus. Safe for threads. Use `open`.

    Args:
        uri: of the server, or None for Milvus Lite.
        lite: the share in the Milvus Lite directory, or None for a server.
    """

    def __init__(self, uri: str | None, lite: LiteOwner | None) -> None:
        self._uri = uri
        self._lite = lite
        self._lock = threading.Lock()
        self._loaded: set[str] = set()
        self._client = self._connect()

    @classmethod
    def open(cls, milvus: str, index_root: str) -> Self:
        """Connect.

        Args:
            milvus: "lite", or http(s)://host:port; a token comes from the environment, REELSIFT_MILVUS_TOKEN.
            index_root: the index, in which Milvus Lite keeps its directory.

        Raises:
            UsageError: an address that is none, or Milvus Lite in an object store.
            VectorStoreError: Milvus is away.
        """
        check_milvus(milvus, index_root)
        if milvus != LITE:
            return cls(milvus, None)
        owner = LiteOwner(index_root)
        try:
            return cls(None, owner)
        except BaseException:
            owner.release()
            raise

    def create(self, collection: str, dim: int) -> None:
        """Make an empty collection; one of that name is replaced."""
        self._ask(lambda client: make_collection(client, collection, dim))

    def insert(self, collection: str, rows: list[dict[str, Any]]) -> None:
        """Write rows: the columns of CoarseHit without the score, `metadata` (an object) and `v` (float32, unit).

        A row whose clip_id is there already is replaced, so a retry doubles nothing.

        Raises:
            VectorStoreError: a vector is not finite, or Milvus does not take the rows even after some tries.
        """
        for row in rows:
            # Milvus Lite would take NaN, and from then on answer nonsense.
            if not np.isfinite(row["v"]).all():
                raise VectorStoreError(f"clip {row['clip_id']} has a vector that is not finite: extract its video anew")
        for wait_s in _WRITE_WAITS_S:
            try:
                self._ask(lambda client: client.upsert(collection, rows, timeout=CALL_S))
            except VectorStoreError as error:
                if not _may_pass(error.__cause__):
                    raise
                time.sleep(wait_s)
            else:
                return
        self._ask(lambda client: client.upsert(collection, rows, timeout=CALL_S))

    def flush_and_load(self, collection: str, index_type: str) -> None:
        """Make all rows durable, index and load them; returns when searches are fast and counts exact."""
        self._ask(lambda client: client.flush(collection, timeout=_LOAD_S))
        self._ask(lambda client: make_index(client, collection, index_type))
        self._ask(lambda client: client.load_collection(collection, timeout=_LOAD_S))

    def count(self, collection: str) -> int:
        """Exact number of rows, all acknowledged writes included."""
        column = "count(*)"

        def work(client: MilvusClient) -> int:
            rows = client.query(
                collection, filter="", output_fields=[column], consistency_level="Strong", timeout=CALL_S
            )
            return int(rows[0][column])

        return self._ask_loaded(collection, work)

    def search(self, collection: str, queries_QD: np.ndarray, limit: int) -> list[list[CoarseHit]]:
        """The clips with the largest inner product, best first, a list a query.

        Args:
            collection: where.
            queries_QD: float32.
            limit: how many a query; fewer come when the collection holds fewer.

        Raises:
            VectorStoreError: Milvus is away, or has no such collection.
        """
        params = {"metric_type": METRIC, "params": {"ef": max(_EF, 2 * limit)}}

        def work(client: MilvusClient) -> list[list[CoarseHit]]:
            answers = client.search(
                collection,
                data=list(np.ascontiguousarray(queries_QD, np.float32)),
                limit=limit,
                output_fields=_OUTPUT,
                search_params=params,
                # Strong waits for the server's next time tick, 200 ms; a version never changes once published.
                consistency_level="Bounded",
                timeout=CALL_S,
            )
            return [[_hit(found) for found in answer] for answer in answers]

        return self._ask_loaded(collection, work)

    def set_alias(self, alias: str, collection: str) -> None:
        """Let an alias name this collection from now on."""
        present = self.resolve_alias(alias)
        if present is None:
            self._ask(lambda client: client.create_alias(collection, alias, timeout=CALL_S))
        elif present != collection:
            self._ask(lambda client: client.alter_alias(collection, alias, timeout=CALL_S))

    def resolve_alias(self, alias: str) -> str | None:
        """The collection that an alias names, or None."""

        def work(client: MilvusClient) -> str | None:
            try:
                return str(client.describe_alias(alias, timeout=CALL_S)["collection_name"])
            except (MilvusException, KeyError) as error:
                if is_away(error) or "alias" not in str(error):
                    raise
                return None

        return self._ask(work)

    def collections(self) -> list[str]:
        """Names of all collections."""
        return sorted(self._ask(lambda client: client.list_collections(timeout=CALL_S)))

    def drop(self, collection: str) -> None:
        """Remove a collection; a missing one is no error."""
        self._ask(lambda client: client.drop_collection(collection, timeout=CALL_S))
        self._loaded.discard(collection)

    def close(self) -> None:
        """Disconnect; Milvus Lite closes its directory when nobody in this process uses it any more."""
        self._client.close()
        if self._lite:
            self._lite.release()

    @property
    def place(self) -> str:
        """What error messages call this Milvus."""
        return self._uri or "Milvus Lite"

    def _connect(self) -> MilvusClient:
        if self._lite:
            return connect(self._lite.address())
        return connect(self._uri or "", os.environ.get(TOKEN_VARIABLE, ""))

    def _reconnect(self, dead: MilvusClient) -> MilvusClient:
        with self._lock:
            # Another thread may have done it while this one waited.
            if self._client is dead:
                self._client = self._connect()
                self._loaded = set()
                dead.close()
            return self._client

    def _ask(self, work: Callable[[MilvusClient], _T]) -> _T:
        """Run `work`; if the server went away under it, connect (for Milvus Lite: take over) and run it once more."""
        client = self._client
        try:
            return work(client)
        except _FAULTS as error:
            if not self._went_away(client, error):
                raise self._refused(error) from error
        try:
            return work(self._reconnect(client))
        except _FAULTS as error:
            raise self._refused(error) from error

    def _ask_loaded(self, collection: str, work: Callable[[MilvusClient], _T]) -> _T:
        def loaded(client: MilvusClient) -> _T:
            # A collection that nobody has loaded since its server started answers nothing.
            if collection not in self._loaded:
                client.load_collection(collection, timeout=_LOAD_S)
                self._loaded.add(collection)
            try:
                return work(client)
            except MilvusException as error:
                if code_of(error) != NOT_LOADED:
                    raise
                client.load_collection(collection, timeout=_LOAD_S)
                return work(client)

        return self._ask(loaded)

    def _went_away(self, client: MilvusClient, error: BaseException) -> bool:
        # A channel that another thread closed, after it had reconnected, fails in ways of its own.
        return is_away(error) or client is not self._client

    def _refused(self, error: BaseException) -> VectorStoreError:
        if is_away(error):
            return VectorStoreError(f"Milvus at {self.place} went away: start it, then try again")
        return VectorStoreError(f"Milvus ({self.place}) refuses: {explain(error)}")


def check_milvus(milvus: str, index_root: str) -> None:
    """Refuse a combination that cannot work, before anything is done.

    Raises:
        UsageError: an address that is none, or Milvus Lite in an object store.
    """
    if milvus != LITE:
        check_uri(milvus)
    elif is_remote(index_root):
        raise UsageError(
            f"Milvus Lite needs a local directory, {index_root} is none: give --milvus http://host:port, "
            "or a local --index"
        )


def _hit(found: Any) -> CoarseHit:
    entity = found["entity"]
    return CoarseHit(**{name: entity[name] for name in _OUTPUT}, coarse_score=float(found["distance"]))


def _may_pass(cause: BaseException | None) -> bool:
    # A refusal of these rows stays one; what has to do with load, timing or the connection may not.
    if cause is None:
        return False
    text = str(cause).lower()
    return is_away(cause) or any(word in text for word in ("timeout", "deadline", "rate limit", "not ready", "quota"))
