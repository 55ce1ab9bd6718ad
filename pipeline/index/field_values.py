"""Values of the filterable fields of clips: what the tables say, checked against the types that were declared."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from pipeline.metadata import read_metadata
from schemas.errors import UsageError
from schemas.fields import BUILT_IN, FieldType, FilterField
from schemas.filters import MAX_INT
from schemas.tables import DONE

# Of a VARCHAR, in bytes.
MAX_TEXT_BYTES: Final = 65_535
_WHOLE: Final = re.compile(r"\s*[+-]?\d{1,19}\s*")
# What stands in Milvus where a clip has no value; `FilterField.present` says that it is none.
_NOTHING: Final[dict[FieldType, Any]] = {"int": 0, "float": 0.0, "bool": False, "string": ""}


def all_fields(own: Sequence[FilterField]) -> list[FilterField]:
    """The fields of a version: those of every clip, and the user's."""
    return [*BUILT_IN, *own]


def field_values(table: pa.Table, fields: Sequence[FilterField]) -> list[dict[str, Any]]:
    """The columns of `fields` for each clip.

    A manifest in CSV knows nothing but text, so text that reads as a number or a truth value counts as one, and empty
    text as no value.

    Args:
        table: rows of `schemas.tables.clips_schema`.
        fields: any.

    Raises:
        UsageError: a value is of another type; the clip and the value are named.
        StorageError: the metadata of a clip are no JSON object.
    """
    names = [field.name for field in fields if field.present is None and field.name in table.schema.names]
    columns = {name: table[name].to_pylist() for name in names}
    if any(field.name == "duration_s" for field in fields):
        spans = zip(table["start_s"].to_pylist(), table["end_s"].to_pylist(), strict=True)
        columns["duration_s"] = [end_s - start_s for start_s, end_s in spans]
    own = [field for field in fields if field.present is not None]
    rows: list[dict[str, Any]] = []
    metadata = table["metadata"].to_pylist() if own else [None] * len(table)
    for i, text in enumerate(metadata):
        row: dict[str, Any] = {name: column[i] for name, column in columns.items()}
        if own:
            where = f"clip {table['clip_id'][i]} ({table['uri'][i]})"
            row |= _own_values(read_metadata(text, where), own, where)
        rows.append(row)
    return rows


def check_videos(videos: pa.Table, fields: Sequence[FilterField]) -> None:
    """Look at the values of videos before anything of their clips is written.

    Args:
        videos: rows of `schemas.tables.VIDEOS_SCHEMA`.
        fields: those of a version.

    Raises:
        UsageError: a value is of another type; the video and the value are named.
    """
    own = [field for field in fields if field.present is not None]
    for row in videos.select(["uri", "status", "metadata"]).to_pylist() if own else []:
        if row["status"] == DONE:
            where = f"the clips of {row['uri']}"
            _own_values(read_metadata(row["metadata"], where), own, where)


def _own_values(metadata: dict[str, Any], own: Sequence[FilterField], where: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field in own:
        raw = metadata.get(field.name)
        try:
            value = _READERS[field.type](raw) if raw is not None else None
        except ValueError as error:
            raise UsageError(
                f"{where}: {field.name} = {repr(raw)[:60]} {error}: mend the manifest, or give the "
                "field another type with --field"
            ) from None
        row[field.column] = _NOTHING[field.type] if value is None else value
        row[str(field.present)] = value is not None
    return row


def _int(raw: Any) -> int | None:
    if isinstance(raw, str):
        if not raw.strip():
            return None
        if not _WHOLE.fullmatch(raw):
            raise ValueError("is no int")
        raw = int(raw)
    if isinstance(raw, float) and raw.is_integer():
        # pandas and Parquet make floats of whole numbers as soon as one is missing.
        raw = int(raw)
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise ValueError("is no int")
    if abs(raw) > MAX_INT:
        raise ValueError("is beyond 2^63 - 1 either way")
    return raw


def _float(raw: Any) -> float | None:
    if isinstance(raw, str):
        if not raw.strip():
            return None
        try:
            raw = float(raw)
        except ValueError:
            raise ValueError("is no float") from None
    if not isinstance(raw, int | float) or isinstance(raw, bool):
        raise ValueError("is no float")
    try:
        value = float(raw)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError("is not finite")
    return value


def _bool(raw: Any) -> bool | None:
    if isinstance(raw, str):
        word = raw.strip().lower()
        if not word:
            return None
        if word not in ("true", "false"):
            raise ValueError("is no bool (true or false)")
        return word == "true"
    if not isinstance(raw, bool):
        raise ValueError("is no bool (true or false)")
    return raw


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise ValueError("is no string")
    if any("\ud800" <= char <= "\udfff" for char in raw):
        raise ValueError("is not valid Unicode")
    if len(raw.encode()) > MAX_TEXT_BYTES:
        raise ValueError(f"is longer than {MAX_TEXT_BYTES} bytes")
    return raw


_READERS: Final[dict[FieldType, Callable[[Any], Any]]] = {"int": _int, "float": _float, "bool": _bool, "string": _text}
