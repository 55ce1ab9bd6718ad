"""What the collections of a version look like in Milvus: one of clips, and one of frames where it has any.

Only what Milvus 2.3 and Milvus Lite 3.2 share is used: one float vector, a VARCHAR key, FLAT and HNSW, inner product.
"""

from typing import Final

from pymilvus import CollectionSchema, DataType, MilvusClient

METRIC: Final = "IP"
FLAT, HNSW = "FLAT", "HNSW"
# Up to here a scan is as fast as a graph, and exact.
FLAT_MAX_ROWS: Final = 20_000
# pymilvus takes whole seconds; a float is ignored in places, and then it waits for ever.
CALL_S: Final = 30
_INDEX_S = 86_400
_ID_CHARS = 64
_FRAME_CHARS = 8
_MAX_CHARS = 65_535


def index_type_for(rows: int) -> str:
    """The index kind for a collection of this size.

    >>> index_type_for(20_000), index_type_for(20_001)
    ('FLAT', 'HNSW')
    """
    return FLAT if rows <= FLAT_MAX_ROWS else HNSW


def make_clip_collection(client: MilvusClient, collection: str, dim: int) -> None:
    """An empty collection of clips without an index; one of that name is replaced."""
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("clip_id", DataType.VARCHAR, is_primary=True, max_length=_ID_CHARS)
    schema.add_field("video_id", DataType.VARCHAR, max_length=_ID_CHARS)
    schema.add_field("uri", DataType.VARCHAR, max_length=_MAX_CHARS)
    schema.add_field("start_s", DataType.DOUBLE)
    schema.add_field("end_s", DataType.DOUBLE)
    schema.add_field("shard", DataType.INT64)
    schema.add_field("row", DataType.INT64)
    schema.add_field("metadata", DataType.JSON)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=dim)
    _replace(client, collection, schema)


def make_frame_collection(client: MilvusClient, collection: str, dim: int) -> None:
    """An empty collection of frames without an index; one of that name is replaced.

    A frame names its clip and nothing more: what else a search needs stands once, with the clip, and is looked up
    there together with the coarse vector.
    """
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("frame_id", DataType.VARCHAR, is_primary=True, max_length=_ID_CHARS + _FRAME_CHARS)
    schema.add_field("clip_id", DataType.VARCHAR, max_length=_ID_CHARS)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=dim)
    _replace(client, collection, schema)


def _replace(client: MilvusClient, collection: str, schema: CollectionSchema) -> None:
    client.drop_collection(collection, timeout=CALL_S)
    # Without an index for now: Milvus Lite would build a graph of every small flush.
    client.create_collection(collection, schema=schema, timeout=CALL_S)


def make_index(client: MilvusClient, collection: str, index_type: str) -> None:
    """Index the vectors, unless they are; returns when all rows are indexed."""
    if client.list_indexes(collection):
        return
    params = client.prepare_index_params()
    graph = {"M": 16, "efConstruction": 100} if index_type == HNSW else {}
    params.add_index("v", index_type=index_type, metric_type=METRIC, params=graph)
    client.create_index(collection, params, timeout=_INDEX_S)
