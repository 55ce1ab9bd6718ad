"""Names of an index in Milvus."""

import json
import secrets

from pipeline.storage import Store
from schemas.errors import IndexCorruptError
from schemas.manifest import INDEX_IDENTITY


def index_id(index: Store) -> str:
    """What tells this index from all others on the same Milvus; made at the first build.

    It is drawn and not computed from the location: two machines may each have an index at the same path, and
    one Milvus.

    Raises:
        IndexCorruptError: INDEX/index.json does not parse.
    """
    index.create(INDEX_IDENTITY, json.dumps({"id": secrets.token_hex(6)}).encode())
    try:
        return str(json.loads(index.read(INDEX_IDENTITY))["id"])
    except (ValueError, KeyError, TypeError):
        raise IndexCorruptError(
            f"{index.path(INDEX_IDENTITY)} is damaged: restore it, or build into a new --index"
        ) from None


def collection_name(identity: str, version: int) -> str:
    """The collection of a version.

    >>> collection_name("1f", 3)
    'reelsift_1f_v3'
    """
    return f"{alias_name(identity)}_v{version}"


def frames_name(collection: str) -> str:
    """The collection of frames beside one of clips.

    >>> frames_name("reelsift_1f_v3")
    'reelsift_1f_v3_frames'
    """
    return f"{collection}_frames"


def alias_name(identity: str) -> str:
    """The alias that leads to the live version.

    >>> alias_name("1f")
    'reelsift_1f'
    """
    return f"reelsift_{identity}"
