"""Files of equal bytes: the clips of one that is committed serve for the others, under their own ids.

    TABLES/contents/<first two>/<sha256>.json    a committed video that has this content

These objects spare work and nothing else: they are written behind a commit, and what one of them says is checked before
it is used. One that is lost or out of date costs that a file is decoded once more.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from pipeline.storage import Store
from pipeline.tables import clip_objects, clips_names, iter_task_clips, read_commit, write_parquet
from schemas.errors import BadVideoError, StorageError
from schemas.ids import clip_id
from schemas.tables import CONTENTS_DIR, DONE

# Of a videos row, what follows from the bytes alone.
_FACTS: Final = ("clip_count", "duration_s", "fps", "width", "height", "container", "codec", "clip_objects")


def sha256_of(path: str) -> str:
    """The hash of a local file, read in pieces.

    Raises:
        BadVideoError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadVideoError("unreadable", error.strerror or type(error).__name__) from error


def _name(sha256: str) -> str:
    return f"{CONTENTS_DIR}/{sha256[:2]}/{sha256}.json"


def remember(store: Store, videos: Iterable[Mapping[str, Any]]) -> None:
    """Note what committed videos hold, by their rows; the newest of equal ones counts. Never fails."""
    for row in videos:
        if row["status"] == DONE and row["content_sha256"]:
            place = {"task_id": row["task_id"], "video_id": row["video_id"]}
            with contextlib.suppress(StorageError):
                store.write(_name(row["content_sha256"]), json.dumps(place).encode() + b"\n")


@dataclass(frozen=True)
class Original:
    """A committed video whose clips may be copied.

    Attributes:
        task: that holds it.
        row: of VIDEOS_SCHEMA.
        objects: that hold its clips; above 1 for a long video, which is alone in its task.
    """

    task: str
    row: dict[str, Any]
    objects: int

    def facts(self) -> dict[str, Any]:
        """Columns of VIDEOS_SCHEMA for a file of the same bytes."""
        facts = {name: self.row[name] for name in _FACTS}
        facts["clip_objects"] = self.objects
        return facts | {"decoder": "copy", "decoder_why": f"the same bytes as {self.row['uri']}"}


class Contents:
    """The committed videos of some tables, by their content.

    Args:
        store: the tables.
        model_id: of the tables.
    """

    def __init__(self, store: Store, model_id: str) -> None:
        self._store = store
        self._model_id = model_id

    def find(self, sha256: str) -> Original | None:
        """A committed video with this content; None where there is none any more.

        Raises:
            StorageError: the storage is away.
        """
        try:
            place = json.loads(self._store.read(_name(sha256)))
            commit = read_commit(self._store, place["task_id"])
            rows = [row for row in commit.to_pylist() if row["video_id"] == place["video_id"]]
        except (ValueError, TypeError, KeyError):
            return None
        except StorageError as error:
            _raise_if_away(error)
            return None
        if len(rows) != 1 or rows[0]["status"] != DONE or rows[0]["content_sha256"] != sha256:
            return None
        return Original(place["task_id"], rows[0], clip_objects(commit))

    def clips(self, original: Original, source: Mapping[str, Any]) -> pa.Table | None:
        """The clips of an original as those of another source; None if they are not there any more.

        Args:
            original: whose clips are one object.
            source: a row of the plan.

        Raises:
            StorageError: the storage is away.
        """
        try:
            table = pa.concat_tables(self._tables(original, source))
        except StorageError as error:
            _raise_if_away(error)
            return None
        return table if len(table) == original.row["clip_count"] else None

    def copy_objects(self, original: Original, source: Mapping[str, Any]) -> bool:
        """Write the clips of a long original as those of the task of another source, an object at a time.

        Returns:
            whether all of them are there.

        Raises:
            StorageError: the storage is away.
        """
        clips = 0
        names = clips_names(source["task_id"], original.objects)
        try:
            for name, table in zip(names, self._tables(original, source), strict=True):
                clips += len(table)
                self._store.write(name, write_parquet(table))
        except StorageError as error:
            _raise_if_away(error)
            return False
        return clips == int(original.row["clip_count"])

    def _tables(self, original: Original, source: Mapping[str, Any]) -> Iterator[pa.Table]:
        for table in iter_task_clips(self._store, original.task, [original.row["video_id"]], self._model_id):
            yield relabelled(table, source)


def relabelled(clips: pa.Table, source: Mapping[str, Any]) -> pa.Table:
    """The same clips as those of another source.

    Args:
        clips: rows of `schemas.tables.clips_schema`.
        source: a row of the plan.
    """
    spans = zip(clips["start_s"].to_pylist(), clips["end_s"].to_pylist(), strict=True)
    columns: dict[str, list[str]] = {
        "clip_id": [clip_id(source["video_id"], start_s, end_s) for start_s, end_s in spans]
    }
    columns |= {name: [source[name]] * len(clips) for name in ("video_id", "uri", "metadata")}
    for name, values in columns.items():
        place = clips.schema.get_field_index(name)
        clips = clips.set_column(place, clips.schema.field(place), pa.array(values, pa.string()))
    return clips


def _raise_if_away(error: StorageError) -> None:
    """A storage that does not answer says nothing about what it holds; any other fault means: decode it."""
    if isinstance(error.__cause__, ConnectionError | TimeoutError):
        raise error
