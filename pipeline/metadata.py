"""Reads the metadata of a source, which stand in tables as the text of a JSON object."""

import json
from typing import Any

from schemas.errors import StorageError


def read_metadata(text: str | None, where: str) -> dict[str, Any]:
    """The values by their names.

    >>> read_metadata('{"year": 2019}', "clip c1")
    {'year': 2019}

    Args:
        text: a cell of the column `metadata`.
        where: whose it is, in words.

    Raises:
        StorageError: it is no JSON object.
    """
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise StorageError(f"{where}: its metadata {(text or '')[:60]!r} is no JSON object: extract it anew")
    return found
