"""Rows as Parquet files that a Milvus server reads by itself, from its own disk or its own bucket.

A part is written where the server reads it, its import is begun, and it is removed when all of its rows are in. The
server answers at once that it has begun; how it goes on is asked for. It is the import of the gRPC interface, which a
server has from 2.2 on; from 2.4 on it is another name there for that of its REST interface.
"""

import contextlib
import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.index.collection_changes import check_finite
from pipeline.index.row_sinks import Doing, Rows
from pipeline.index.server_imports import ImportState, ServerImports
from pipeline.storage import Store, explain, is_remote
from schemas.errors import StorageError, UsageError, VectorStoreError
from schemas.manifest import LITE

# Of the vectors of a part: some 130,000 rows of 512 numbers.
_PART_BYTES = 256 << 20
# More parts than these wait on disk for no server.
_WAITING = 4
_POLL_S = 0.5


@dataclass
class _Part:
    """One file: `task` is the server's number of its import."""

    name: str
    rows: int
    task: int
    told: ImportState | None = None
    since: float = 0.0


class BulkImport:
    """Imports the rows of all collections of a build.

    Args:
        server: the interface of a server.
        folder: of the files (`parts_folder`).
        stall_s: how long an import may not go on.
        part_bytes: of the vectors of a file.
    """

    def __init__(self, server: ServerImports, folder: str, stall_s: float, part_bytes: int = _PART_BYTES) -> None:
        self._server = server
        self._store = Store(folder)
        self._stall_s = stall_s
        self._part_bytes = part_bytes
        self._open: dict[str, _OpenPart] = {}
        self._running: list[_Part] = []
        self._made = self._ended = 0
        self._scratch = ExitStack()
        self._folder = Path(
            self._scratch.enter_context(tempfile.TemporaryDirectory(prefix="reelsift-import-"))
            if self._store.is_remote
            else self._store.root
        )

    def write(self, collection: str, rows: Rows) -> None:
        """Write rows into the file that is open for their collection, and begin its import when it is large enough."""
        check_finite(rows)
        if collection not in self._open:
            self._made += 1
            schema = self._server.schema(collection)
            self._open[collection] = _OpenPart(self._folder / f"{collection}-{self._made:05d}.parquet", schema)
        part = self._open[collection]
        part.write(rows)
        if part.vector_bytes >= self._part_bytes:
            self._begin(collection)
            while len(self._running) > _WAITING:
                self._look()

    def finish(self, doing: Doing) -> None:
        """Begin what is left, and wait for all of it."""
        for collection in list(self._open):
            self._begin(collection)
        while self._running:
            doing(f"Milvus imports: {self._ended} of {self._made} files are in")
            self._look()

    def close(self) -> None:
        """Remove the files; imports that still run find them gone and fail."""
        for part in self._open.values():
            part.close()
        self._open = {}
        self._scratch.close()
        remove_parts(self._store.root)

    def _begin(self, collection: str) -> None:
        part = self._open.pop(collection)
        part.close()
        name = part.path.name
        if self._store.is_remote:
            self._store.upload(part.path, name)
            part.path.unlink()
        self._running.append(_Part(name, part.rows, self._server.begin(collection, self._seen(name))))

    def _seen(self, name: str) -> str:
        """What the server calls a file: the path, or the key in its bucket."""
        path = self._store.path(name)
        return path.split("://", 1)[1].split("/", 1)[1] if self._store.is_remote else path

    def _look(self) -> None:
        """Ask for each import that runs; take those that have ended off the list."""
        for part in list(self._running):
            state = self._server.state(part.task)
            if state.completed:
                self._running.remove(part)
                self._ended += 1
                self._store.delete(part.name)
            elif state.failed:
                raise VectorStoreError(
                    f"Milvus cannot import {self._seen(part.name)} ({state.reason[:200]}): --bulk-import must be a "
                    "place that the server itself reads, its own disk or bucket; without it rows are inserted"
                )
            elif state != part.told:
                part.told, part.since = state, time.monotonic()
            elif time.monotonic() - part.since > self._stall_s:
                raise VectorStoreError(
                    f"Milvus does not go on importing {self._seen(part.name)}: {state.name}, {state.rows} of "
                    f"{part.rows} rows, nothing new in {self._stall_s:g} s (index_stall_s); look at its log"
                )
        if self._running:
            time.sleep(_POLL_S)


class _OpenPart:
    """A file that rows are written into."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.rows = self.vector_bytes = 0
        self._schema = schema
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, schema, use_dictionary=False, write_statistics=False)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {explain(error)}") from error

    def write(self, rows: Rows) -> None:
        vectors_BD = np.stack([row["v"] for row in rows]).astype(np.float32)
        starts = np.arange(0, vectors_BD.size + 1, vectors_BD.shape[1], dtype=np.int32)
        columns = {"v": pa.ListArray.from_arrays(starts, vectors_BD.ravel())}
        for field in self._schema:
            if field.name != "v":
                columns[field.name] = pa.array([_plain(row[field.name]) for row in rows], field.type)
        try:
            self._writer.write_table(pa.table([columns[name] for name in self._schema.names], self._schema))
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {explain(error)}") from error
        self.rows += len(rows)
        self.vector_bytes += vectors_BD.nbytes

    def close(self) -> None:
        try:
            self._writer.close()
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {explain(error)}") from error


def check_place(place: str, milvus: str) -> None:
    """Refuse what cannot work, before anything is done.

    >>> check_place("/exchange", "http://127.0.0.1:19530")

    Raises:
        UsageError: Milvus Lite, which imports nothing, or a place that is neither a local path nor in S3.
        StorageError: the place cannot be listed.
    """
    if milvus == LITE:
        raise UsageError(
            "--bulk-import is for a Milvus server (--milvus http://host:port): Milvus Lite imports nothing"
        )
    if is_remote(place) and not place.startswith("s3://"):
        raise UsageError(f"--bulk-import {place}: give a local path or s3://bucket/prefix, as the server reads it")
    # Without credentials, say, a build could only fail late.
    Store(place).names("", ".parquet")


def parts_folder(place: str, build: str) -> str:
    """Where the files of a build are.

    Args:
        place: where the server reads files: a local path that is the same there, or s3:// with the server's bucket.
        build: its name.
    """
    return Store(place).path(build)


def remove_parts(folder: str) -> None:
    """Remove the files of a build, if there are any."""
    store = Store(folder)
    for name in store.names("", ".parquet"):
        store.delete(name)
    if not store.is_remote:
        with contextlib.suppress(OSError):
            Path(store.root).rmdir()


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value
