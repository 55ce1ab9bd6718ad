"""Which videos of the tables are meant: by id, by location, or by a condition on their rows."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Self

import pyarrow as pa

from pipeline.metadata import read_metadata
from pipeline.storage import Store, canonical
from pipeline.tables import read_plan, read_videos
from schemas.errors import StorageError, UsageError
from schemas.tables import DELETED, VIDEOS_SCHEMA

_CONDITION = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
_METADATA = "metadata."


@dataclass(frozen=True)
class Condition:
    """One comparison of a column of the videos table, or of a key of its metadata, with a value.

    >>> Condition.of("duration_s>600").holds({"duration_s": 601.5})
    True
    >>> Condition.of("metadata.licence = none").holds({"metadata": '{"licence": "none"}'})
    True
    >>> Condition.of("fps<25").holds({"fps": None})
    False
    """

    column: str
    operator: str
    value: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `COLUMN=VALUE`, with = != < <= > >=.

        Raises:
            UsageError: it is none, or the column is unknown, or its values are numbers and this one is not.
        """
        match = _CONDITION.fullmatch(text)
        if not match:
            raise UsageError(f"--where {text!r} is no condition: write COLUMN=VALUE, with = != < <= > or >=")
        column, operator, value = match.groups()
        if not column.startswith(_METADATA):
            if column not in VIDEOS_SCHEMA.names:
                known = ", ".join(name for name in VIDEOS_SCHEMA.names if name != "metadata")
                raise UsageError(f"--where {text!r}: no column {column!r}; known: {known}, metadata.KEY")
            if not pa.types.is_string(VIDEOS_SCHEMA.field(column).type) and _number(value) is None:
                raise UsageError(f"--where {text!r}: column {column} holds numbers, {value!r} is none")
        return cls(column, operator, value)

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of the videos table meets it; a value that is missing meets none."""
        found = self._found(row)
        if found is None or isinstance(found, list | dict):
            return False
        if isinstance(found, bool):
            found = str(found).lower()
        if isinstance(found, str):
            return _COMPARE[self.operator](found, self.value)
        number = _number(self.value)
        return number is not None and _COMPARE[self.operator](found, number)

    def _found(self, row: Mapping[str, Any]) -> Any:
        if self.column.startswith(_METADATA):
            found = read_metadata(row["metadata"], f"the row of {row.get('uri', 'a video')} in the videos table")
            return found.get(self.column.removeprefix(_METADATA))
        return row[self.column]


def _number(text: str) -> float | None:
    """The number that a text is; NaN is none, since nothing compares with it."""
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number


@dataclass(frozen=True)
class Chosen:
    """Videos by id with their locations, in the order of the plan; `already` are those that were deleted before."""

    uris: dict[str, str]
    already: set[str]


def choose_videos(
    tables: Store, video_ids: Sequence[str] = (), uris: Sequence[str] = (), where: Sequence[str] = ()
) -> Chosen:
    """The videos that are meant: those that are named, by id or by location, and of them those that meet `where`.

    Args:
        tables: the tables.
        video_ids: all of these.
        uris: these as well; * and ? stand for any text and any character.
        where: conditions that must all hold, see `Condition`. Where nothing is named, they choose among all videos.

    Raises:
        UsageError: an id or a location that the tables do not have, a condition that is none, or none of the videos
            that are named meets all of them.
        StorageError: a video that is named is pending: its clips may be written at any moment; or metadata that a
            condition asks for are no JSON object.
    """
    conditions = [Condition.of(text) for text in where]
    plan = read_plan(tables)
    planned = dict(zip(plan.rows["video_id"].to_pylist(), plan.rows["uri"].to_pylist(), strict=True))
    rows = {row["video_id"]: row for row in read_videos(tables, plan).to_pylist()}
    named = _by_id(video_ids, planned, tables.root)
    for pattern in uris:
        named |= _by_uri(pattern, planned, tables.root)
    _refuse_pending([planned[video] for video in planned if video in named and video not in rows])
    wanted = named
    if conditions:
        # A deletion has no way back: a condition beside names never adds to them.
        candidates = named if video_ids or uris else rows.keys()
        wanted = {video for video in candidates if all(condition.holds(rows[video]) for condition in conditions)}
        if not wanted:
            whose = f"none of the {len(named)} videos named" if named else f"no video of {tables.root}"
            raise UsageError(f"{whose} meets --where {' and '.join(where)}: nothing was changed")
    found = {video: uri for video, uri in planned.items() if video in wanted}
    return Chosen(found, {video for video in found if rows[video]["reason"] == DELETED})


def _by_id(video_ids: Iterable[str], planned: Mapping[str, str], root: str) -> set[str]:
    wanted = set(video_ids)
    unknown = sorted(wanted - planned.keys())
    if unknown:
        raise UsageError(f"{root} has no video {unknown[0]} ({len(unknown)} unknown ids): nothing was changed")
    return wanted


def _by_uri(pattern: str, planned: Mapping[str, str], root: str) -> set[str]:
    # A name may hold a bracket, and then stands for itself.
    spellings = {pattern, canonical(pattern)}
    found = {
        video
        for video, uri in planned.items()
        if uri in spellings or any(fnmatchcase(uri, spelling.replace("[", "[[]")) for spelling in spellings)
    }
    if not found:
        raise UsageError(f"{root} has no video at {pattern}: nothing was changed")
    return found


def _refuse_pending(uris: Sequence[str]) -> None:
    if uris:
        raise StorageError(
            f"{len(uris)} of these videos, {uris[0]} among them, are pending: run 'reelsift extract' to its end, then "
            "delete; nothing was changed"
        )
