"""The Milvuses of an index: each version names its own, and each is opened once."""

from types import TracebackType
from typing import Self

from pipeline.index.vector_store import VectorStore
from pipeline.storage import Store


class MilvusPlaces:
    """Connections by address, made at first use and closed at the end of the `with`.

    Args:
        index: in which Milvus Lite keeps its directory.
    """

    def __init__(self, index: Store) -> None:
        self._root = index.root
        self._opened: dict[str, VectorStore] = {}

    def get(self, milvus: str) -> VectorStore:
        """The store at an address.

        Raises:
            VectorStoreError: it is away.
        """
        if milvus not in self._opened:
            self._opened[milvus] = VectorStore.open(milvus, self._root)
        return self._opened[milvus]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for vectors in self._opened.values():
            vectors.close()
