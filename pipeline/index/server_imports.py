"""The import interface of a Milvus server: it reads Parquet files by itself."""

from dataclasses import dataclass

import pyarrow as pa
from pymilvus import DataType, MilvusClient

from pipeline.index.collection_schema import CALL_S
from pipeline.index.milvus_connection import MilvusConnection

_ARROW = {
    DataType.BOOL: pa.bool_(),
    DataType.INT64: pa.int64(),
    DataType.DOUBLE: pa.float64(),
    DataType.VARCHAR: pa.string(),
    DataType.JSON: pa.string(),
    DataType.FLOAT_VECTOR: pa.list_(pa.float32()),
}


@dataclass(frozen=True)
class ImportState:
    """How far the import of a file is.

    Attributes:
        name: Pending, Started, Persisted, Completed, Failed, or Failed and cleaned.
        rows: read so far.
        percent: of the work, as the server says it.
        reason: why it failed.
    """

    name: str
    rows: int
    percent: str
    reason: str

    @property
    def failed(self) -> bool:
        """Whether it came to nothing."""
        return self.name.startswith("Failed")

    @property
    def completed(self) -> bool:
        """Whether all rows are in."""
        return self.name == "Completed"


class ServerImports:
    """Starts imports, and asks how they go on.

    Args:
        milvus: the connection to a server.
    """

    def __init__(self, milvus: MilvusConnection) -> None:
        self._milvus = milvus

    def schema(self, collection: str) -> pa.Schema:
        """The columns of a file for this collection; JSON is text there.

        Raises:
            VectorStoreError: Milvus is away, or has no such collection.
        """

        def work(client: MilvusClient) -> pa.Schema:
            found = client.describe_collection(collection, timeout=CALL_S)["fields"]
            return pa.schema([(field["name"], _ARROW[field["type"]]) for field in found])

        return self._milvus.ask(work)

    def begin(self, collection: str, path: str) -> int:
        """Let the server read a file; the number of the task.

        Args:
            collection: where the rows go; none of their keys is there.
            path: as the server sees it.

        Raises:
            VectorStoreError: Milvus is away, or refuses.
        """

        # The client has no method of its own for it; that of the old ORM interface, soon to go, calls this.
        def work(client: MilvusClient) -> int:
            return int(client._get_connection().do_bulk_insert(collection, "", [path], timeout=CALL_S))

        return self._milvus.ask(work)

    def state(self, task: int) -> ImportState:
        """How far a task is.

        Raises:
            VectorStoreError: Milvus is away, or does not know the task.
        """

        def work(client: MilvusClient) -> ImportState:
            found = client._get_connection().get_bulk_insert_state(task, timeout=CALL_S)
            percent = str(found.infos.get("progress_percent", ""))
            return ImportState(found.state_name, int(found.row_count), percent, " ".join(found.failed_reason.split()))

        return self._milvus.ask(work)
