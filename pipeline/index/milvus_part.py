"""What searches, look-ups and changes of collections share: the connection and its limit of time."""

from pipeline.index.collection_schema import CALL_S
from pipeline.index.milvus_connection import MilvusConnection

# Strong waits for the server's next time tick, 200 ms; a version never changes once published.
BOUNDED = "Bounded"


class MilvusPart:
    """One of the interfaces that make up `VectorStore`. Safe for threads.

    Args:
        milvus: the connection; closed with the store.
        call_s: whole seconds that a search or a look-up may take.
    """

    def __init__(self, milvus: MilvusConnection, call_s: int = CALL_S) -> None:
        self._milvus = milvus
        self._call_s = call_s
