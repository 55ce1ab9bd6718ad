"""A connection to one Milvus that comes back by itself: to a server, or to Milvus Lite in INDEX."""

import os
import threading
from collections.abc import Callable
from typing import Self, TypeVar

import grpc
from pymilvus import MilvusClient, MilvusException

from pipeline.index.lite_owner import LiteOwner
from pipeline.index.milvus_client import NOT_LOADED, TOKEN_VARIABLE, check_uri, code_of, connect, explain, is_away
from pipeline.storage import is_remote
from schemas.errors import UsageError, VectorStoreError
from schemas.manifest import LITE

_T = TypeVar("_T")
LOAD_S = 600
_FAULTS = (MilvusException, grpc.RpcError)


class MilvusConnection:
    """Safe for threads. Use `open`.

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
        """Connect; see `VectorStore.open`."""
        check_milvus(milvus, index_root)
        if milvus != LITE:
            return cls(milvus, None)
        owner = LiteOwner(index_root)
        try:
            return cls(None, owner)
        except BaseException:
            owner.release()
            raise

    @property
    def place(self) -> str:
        """What error messages call this Milvus."""
        return self._uri or "Milvus Lite"

    def ask(self, work: Callable[[MilvusClient], _T]) -> _T:
        """Run `work`; if the server went away under it, connect (for Milvus Lite: take over) and run it once more.

        Raises:
            VectorStoreError: Milvus is away, or refuses.
        """
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

    def ask_loaded(self, collection: str, work: Callable[[MilvusClient], _T]) -> _T:
        """Like `ask`, for work that needs a collection in memory."""

        def loaded(client: MilvusClient) -> _T:
            # A collection that nobody has loaded since its server started answers nothing.
            if collection not in self._loaded:
                client.load_collection(collection, timeout=LOAD_S)
                self._loaded.add(collection)
            try:
                return work(client)
            except MilvusException as error:
                if code_of(error) != NOT_LOADED:
                    raise
                client.load_collection(collection, timeout=LOAD_S)
                return work(client)

        return self.ask(loaded)

    def renew(self) -> None:
        """Connect anew. A connection that lost its server tries again ever more seldom, and may miss its return.

        Raises:
            VectorStoreError: Milvus is away.
        """
        self._reconnect(self._client)

    def forget(self, collection: str) -> None:
        """A collection is gone: one of that name would have to be loaded anew."""
        self._loaded.discard(collection)

    def close(self) -> None:
        """Disconnect; Milvus Lite closes its directory when nobody in this process uses it any more."""
        self._client.close()
        if self._lite:
            self._lite.release()

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
