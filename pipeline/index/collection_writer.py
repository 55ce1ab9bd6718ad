"""One collection of a version while it is built: rows go in, its index is made, and its recall is measured."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pipeline.index.index_choice import IndexChoice, choose_index
from pipeline.index.recall_check import RecallCheck, tune
from pipeline.index.row_sinks import RowSink
from pipeline.index.vector_store import VectorStore
from schemas.errors import IndexCorruptError
from schemas.index_config import IndexConfig
from schemas.manifest import AnnIndex


class CollectionWriter:
    """Fills an empty collection.

    Args:
        vectors: the Milvus.
        sink: takes the rows.
        collection: made already.
        key: its key column.
        what: its rows, in a word.
        check: measures its recall.
    """

    def __init__(
        self, vectors: VectorStore, sink: RowSink, collection: str, key: str, what: str, check: RecallCheck
    ) -> None:
        self.collection = collection
        self.rows = 0
        self.ann = AnnIndex()
        self._vectors = vectors
        self._sink = sink
        self._key = key
        self._what = what
        self._check = check
        self._choice: IndexChoice

    @property
    def index_type(self) -> str:
        """The type of the index."""
        return self._choice.index_type

    def write(self, rows: list[dict[str, Any]], at_once: int) -> None:
        """Write rows, `at_once` a message: a message to Milvus has a largest size."""
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            self._sink.write(self.collection, part)
            self._check.add([row[self._key] for row in part], np.stack([row["v"] for row in part]))
        self.rows += len(rows)

    def make_index(self, config: IndexConfig, doing: Callable[[str], None]) -> None:
        """Index all rows and load them; the sink has finished.

        Raises:
            UsageError: this Milvus has no such index.
            VectorStoreError: Milvus does not make it.
        """
        choice = choose_index(
            config.index_type, self.rows, self._check.dim, config.index_memory_gb, self._vectors.version
        )
        self._choice = choice
        doing(f"making the {choice.index_type} index of {self._what}")
        self._vectors.flush_and_load(self.collection, choice.index_type, choice.params, config.index_stall_s)

    def measure(self, say: Callable[[str], None]) -> None:
        """Raise the search parameters until the recall is good enough.

        Raises:
            VectorStoreError: it stays below the target.
        """

        def search(queries_QD: np.ndarray, limit: int, parameters: Mapping[str, int]) -> list[list[str]]:
            return self._vectors.search_keys(self.collection, queries_QD, limit, parameters)

        self.ann, told = tune(self._check, search, self._choice, self._what)
        say(f"{told}; {self._choice.why}")

    def verify(self) -> int:
        """How many rows Milvus has.

        Raises:
            IndexCorruptError: another number than was written.
        """
        found = self._vectors.count(self.collection)
        if found != self.rows:
            raise IndexCorruptError(
                f"the tables hold {self.rows} {self._what}, Milvus {found}: nothing was kept, build again"
            )
        return found
