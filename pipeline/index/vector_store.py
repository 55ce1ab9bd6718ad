"""Coarse vectors and frame vectors in Milvus: one interface over Milvus Lite in INDEX and a Milvus server."""

from typing import Self

from pipeline.index.collection_changes import CollectionChanges
from pipeline.index.collection_reads import CollectionReads
from pipeline.index.collection_schema import CALL_S
from pipeline.index.collection_search import CollectionSearch
from pipeline.index.milvus_connection import MilvusConnection
from pipeline.index.server_imports import ServerImports


class VectorStore(CollectionSearch, CollectionReads, CollectionChanges):
    """Collections of one Milvus. Safe for threads. Use `open`.

    Args:
        milvus: the connection; closed with the store.
        call_s: whole seconds that a search or a look-up may take.
    """

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

    @property
    def imports(self) -> ServerImports:
        """The import interface; Milvus Lite has none."""
        return ServerImports(self._milvus)

    @property
    def version(self) -> str:
        """What this Milvus says its version is."""
        return self._milvus.ask(lambda client: str(client.get_server_version(timeout=CALL_S)))

    @property
    def place(self) -> str:
        """What error messages call this Milvus."""
        return self._milvus.place

    def renew(self) -> None:
        """Connect anew, after Milvus was away.

        Raises:
            VectorStoreError: it still is.
        """
        self._milvus.renew()

    def close(self) -> None:
        """Disconnect; Milvus Lite closes its directory when nobody in this process uses it any more."""
        self._milvus.close()
