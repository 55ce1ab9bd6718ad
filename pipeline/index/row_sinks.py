"""How the rows of a build go into Milvus: inserted, a message at a time, or imported by the server (`bulk_import`)."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from pipeline.index.vector_store import VectorStore

Rows = list[dict[str, Any]]
# What is being done, in words.
Doing = Callable[[str], None]


class RowSink(Protocol):
    """Takes the rows of all collections of a build; no key comes twice."""

    def write(self, collection: str, rows: Rows) -> None:
        """Take rows, of which none must be lost from now on; what is wrong with them may be told by a later call.

        Raises:
            VectorStoreError: Milvus does not take them, or those before.
        """

    def finish(self, doing: Doing) -> None:
        """Wait until all rows are in Milvus.

        Raises:
            VectorStoreError: Milvus does not take them.
        """

    def close(self) -> None:
        """End what is under way; after this nothing is written any more."""


class BackgroundInserts:
    """Inserts one message while the next one is made.

    There is one sender for all collections: Milvus Lite loses rows when two write at once.

    Args:
        vectors: the Milvus.
    """

    def __init__(self, vectors: VectorStore) -> None:
        self._vectors = vectors
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="milvus-insert")
        self._sent: Future[None] | None = None

    def write(self, collection: str, rows: Rows) -> None:
        """Send rows, once those before have arrived."""
        self._settle()
        self._sent = self._sender.submit(self._vectors.insert, collection, rows, fresh=True)

    def finish(self, doing: Doing) -> None:
        """Wait until the last rows have arrived."""
        self._settle()

    def close(self) -> None:
        """Wait for the message that is under way, whatever becomes of it."""
        self._sender.shutdown(cancel_futures=True)

    def _settle(self) -> None:
        sent, self._sent = self._sent, None
        if sent:
            sent.result()
