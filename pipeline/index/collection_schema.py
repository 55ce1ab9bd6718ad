"""What the collections of a version look like in Milvus: one of clips, and one of frames where it has any.

Only what Milvus 2.3 and Milvus Lite 3.2 share is used: one float vector, a VARCHAR key, inner product; and of indexes
what a Milvus has of `pipeline/index/index_choice.py`.
"""

import time
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Final

from pymilvus import CollectionSchema, DataType, MilvusClient

from schemas.errors import VectorStoreError
from schemas.fields import FieldType, FilterField

METRIC: Final = "IP"
# pymilvus takes whole seconds; a float is ignored in places, and then it waits for ever.
CALL_S: Final = 30
_POLL_S = 0.5
_ID_CHARS = 64
_FRAME_CHARS = 8
_MAX_CHARS = 65_535
_KINDS: Final[dict[FieldType, DataType]] = {
    "int": DataType.INT64,
    "float": DataType.DOUBLE,
    "bool": DataType.BOOL,
    "string": DataType.VARCHAR,
}


def make_clip_collection(client: MilvusClient, collection: str, dim: int, fields: Sequence[FilterField] = ()) -> None:
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
    _add_fields(schema, fields)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=dim)
    _replace(client, collection, schema)


def make_frame_collection(client: MilvusClient, collection: str, dim: int, fields: Sequence[FilterField] = ()) -> None:
    """An empty collection of frames without an index; one of that name is replaced.

    A frame names its clip, and repeats what a filter may ask for, so that Milvus leaves out what does not pass before
    it counts the best. What else a search needs stands once, with the clip, and is looked up there together with the
    coarse vector.
    """
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("frame_id", DataType.VARCHAR, is_primary=True, max_length=_ID_CHARS + _FRAME_CHARS)
    schema.add_field("clip_id", DataType.VARCHAR, max_length=_ID_CHARS)
    _add_fields(schema, fields)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=dim)
    _replace(client, collection, schema)


def _add_fields(schema: CollectionSchema, fields: Sequence[FilterField]) -> None:
    """Columns of filterable fields, but for those that are there for other reasons."""
    there = {field.name for field in schema.fields}
    for field in fields:
        if field.column not in there:
            size = {"max_length": _MAX_CHARS} if field.type == "string" else {}
            schema.add_field(field.column, _KINDS[field.type], **size)
        # Milvus has empty values from release 2.5 on.
        if field.present:
            schema.add_field(field.present, DataType.BOOL)


def _replace(client: MilvusClient, collection: str, schema: CollectionSchema) -> None:
    client.drop_collection(collection, timeout=CALL_S)
    # Without an index for now: Milvus Lite would build a graph of every small flush.
    client.create_collection(collection, schema=schema, timeout=CALL_S)


def make_index(
    client: MilvusClient, collection: str, index_type: str, params: Mapping[str, int | str], stall_s: float
) -> None:
    """Index the vectors, unless they are; returns when all rows are indexed.

    Args:
        client: of the Milvus.
        collection: where.
        index_type: one that this Milvus has.
        params: of the index.
        stall_s: how long not one row more may get indexed.

    Raises:
        VectorStoreError: the server gives up, or does not go on.
    """
    if not client.list_indexes(collection):
        prepared = client.prepare_index_params()
        prepared.add_index("v", index_type=index_type, metric_type=METRIC, params=dict(params))
        # Its own wait has no end when a server cannot make an index and tries for ever; Lite makes it in the call.
        client.create_index(collection, prepared, timeout=max(CALL_S, ceil(stall_s)), sync=False)
    name = client.list_indexes(collection)[0]
    rows, since = -1, time.monotonic()
    while (seen := client.describe_index(collection, name, timeout=CALL_S))["state"] != "Finished":
        told = f"{seen['indexed_rows']} of {seen['total_rows']} rows have an {index_type} index"
        if seen["state"] == "Failed":
            raise VectorStoreError(f"Milvus gave up: {told}; try another --index-type")
        if seen["indexed_rows"] != rows:
            rows, since = seen["indexed_rows"], time.monotonic()
        elif time.monotonic() - since > stall_s:
            raise VectorStoreError(
                f"Milvus does not go on: {told}, not one more in {stall_s:g} s (index_stall_s); look at its log, or "
                "try another --index-type"
            )
        time.sleep(_POLL_S)
