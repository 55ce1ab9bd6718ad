"""Tables and an index are folders of their own: what belongs to the one is not written into the other.

They are told apart by the object that each gets first.
"""

from pipeline.storage import Store
from schemas.errors import UsageError
from schemas.manifest import INDEX_IDENTITY
from schemas.tables import TABLES_INFO


def refuse_tables(index: Store) -> None:
    """Refuse tables where an index is asked for.

    Raises:
        UsageError: they are tables.
    """
    if index.exists(TABLES_INFO) and not index.exists(INDEX_IDENTITY):
        raise UsageError(f"{index.root} holds tables and no index: give --index a folder of its own")


def refuse_index(tables: Store) -> None:
    """Refuse an index where tables are asked for.

    Raises:
        UsageError: it is an index.
    """
    if tables.exists(INDEX_IDENTITY) and not tables.exists(TABLES_INFO):
        raise UsageError(f"{tables.root} holds an index and no tables: give --tables the folder of the tables")
