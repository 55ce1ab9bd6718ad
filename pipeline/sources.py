"""Listing of inputs: files, folders, globs, buckets, and manifests with a `uri` column."""

import csv
import io
import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from glob import has_magic
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage import canonical, explain, filesystem, is_remote, read_input, retrying
from schemas.errors import InputError
from schemas.tables import LINKED_FOLDER, NOT_MEDIA

_MANIFESTS = (".parquet", ".csv", ".jsonl")
_STAT_THREADS = 16
# A name that ends like these is no video, and decoding it would only fill the quarantine. All else is probed.
_NOT_MEDIA = frozenset(
    (
        *(".json", ".jsonl", ".csv", ".tsv", ".txt", ".md", ".html", ".xml", ".yaml", ".yml", ".toml", ".log"),
        *(".parquet", ".srt", ".vtt", ".ass", ".nfo", ".pdf", ".py", ".sh", ".md5", ".sha256", ".ds_store"),
        *(".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".svg"),
        *(".zip", ".gz", ".tar", ".part", ".tmp", ".crdownload", ".lease"),
    )
)
_VIDEO_NAMES = frozenset((".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".flv"))
MISSING_ETAG = "missing"


@dataclass(frozen=True)
class Source:
    """One input file.

    Attributes:
        uri: absolute path or s3:// URI.
        size_bytes: -1 where it is not known.
        etag: changes whenever the content may have: the store's ETag, or time and size of a local file.
        filter_reason: why it will not be decoded, or None.
        metadata: the user's own columns.
    """

    uri: str
    size_bytes: int
    etag: str
    filter_reason: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def filter_reason(uri: str) -> str | None:
    """Why a name is not worth decoding, or None.

    >>> filter_reason("a/captions.jsonl"), filter_reason("a/b.mp4"), filter_reason("a/no-suffix")
    ('not_media', None, None)
    """
    try:
        uri.encode()
    except UnicodeEncodeError:
        return "bad_name"
    name = os.path.basename(uri).lower()
    return NOT_MEDIA if os.path.splitext(name)[1] in _NOT_MEDIA or name in _NOT_MEDIA else None


def list_sources(inputs: Iterable[str]) -> list[Source]:
    """All sources of all inputs, each once, sorted by URI; of one named twice the later input's metadata wins.

    Raises:
        InputError: an input does not exist, cannot be listed, or holds nothing.
    """
    found: dict[str, Source] = {}
    for text in inputs:
        before = len(found)
        listed = 0
        for source in _list_one(text):
            listed += 1
            found[source.uri] = source
        if not listed and len(found) == before:
            raise InputError(f"--input {text}: nothing there to extract")
    return [found[uri] for uri in sorted(found)]


def without_tables(sources: Iterable[Source], tables: str) -> list[Source]:
    """The sources without what an extraction itself wrote, where an input contains its tables.

    Videos that are below the tables stay.

    >>> found = [Source("/v/tables/a.mp4", 1, "e"), Source("/v/tables/plan/0.parquet", 1, "e", NOT_MEDIA)]
    >>> [source.uri for source in without_tables(found, "/v/tables")]
    ['/v/tables/a.mp4']

    Raises:
        InputError: there are no others.
    """
    kept = [each for each in sources if each.filter_reason != NOT_MEDIA or not each.uri.startswith(f"{tables}/")]
    if not kept:
        raise InputError(f"--input names nothing but the tables, {tables}: name the videos")
    return kept


def _list_one(text: str) -> Iterator[Source]:
    location = canonical(text)
    try:
        if location.lower().endswith(_MANIFESTS) and not _is_folder(location):
            return iter(_from_manifest(location))
        if is_remote(location):
            return iter(_list_remote(location))
        return iter(list(_list_local(location)))
    except InputError:
        raise
    except Exception as error:
        # botocore's own classes (no credentials, no endpoint) are no OSError and carry no common base with it.
        if not isinstance(error, OSError) and not type(error).__module__.startswith(("botocore", "aiobotocore")):
            raise
        raise InputError(f"cannot list --input {text}: {explain(error)}") from error


def _is_folder(location: str) -> bool:
    return not is_remote(location) and os.path.isdir(location)


def local_source(path: str, metadata: dict[str, Any] | None = None) -> Source:
    """A local path as a source; one that is missing or no regular file is planned too, and fails truly later."""
    uri = path if filter_reason(path) != "bad_name" else path.encode(errors="backslashreplace").decode()
    extra = metadata or {}
    try:
        info = os.stat(path)
    except OSError:
        return Source(uri, -1, MISSING_ETAG, filter_reason(path), extra)
    if not stat.S_ISREG(info.st_mode):
        return Source(uri, -1, "special", filter_reason(path), extra)
    return Source(uri, info.st_size, f"{info.st_mtime_ns}-{info.st_size}", filter_reason(path), extra)


def _list_local(location: str) -> Iterator[Source]:
    if has_magic(location) and not os.path.lexists(location):
        matches = [str(path) for path in filesystem(location).glob(location)]
        for match in sorted(matches):
            yield from _list_local(match)
        return
    if not os.path.lexists(location):
        raise InputError(f"--input {location}: no such file or folder")
    if not os.path.isdir(location):
        yield local_source(location)
        return
    yield from _walk(location)


def _walk(root: str) -> Iterator[Source]:
    """All files below a folder."""

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot list {error.filename}: {error.strerror}; fix its permissions or leave it out")

    for folder, folders, names in os.walk(root, onerror=refuse):
        for name in names:
            yield local_source(os.path.join(folder, name))
        for name in folders:
            # It may lead back here, or to all of a disk; so it is told, not followed.
            if os.path.islink(path := os.path.join(folder, name)):
                yield replace(local_source(path), filter_reason=filter_reason(path) or LINKED_FOLDER)
        # Somebody took it for a video, and would miss it; one with something in it may well be named for what it holds.
        if not (names or folders) and folder != root and os.path.splitext(folder)[1].lower() in _VIDEO_NAMES:
            yield local_source(folder)


def _list_remote(location: str) -> list[Source]:
    fs = filesystem(location)
    scheme = location.split("://", 1)[0]
    pattern = has_magic(location)
    work: Callable[[], dict[str, Any]] = lambda: (  # noqa: E731  (one expression, retried as a whole)
        fs.glob(location, detail=True) if pattern else fs.find(location, detail=True)
    )
    infos = retrying(work)
    if not infos and not pattern and not retrying(lambda: fs.exists(location)):
        raise InputError(f"--input {location}: no such object, prefix or bucket")
    return [remote_source(f"{scheme}://{name}", info) for name, info in infos.items() if info["type"] == "file"]


def remote_source(uri: str, info: dict[str, Any], metadata: dict[str, Any] | None = None) -> Source:
    """An object's listing entry as a source."""
    etag = str(info.get("ETag") or info.get("etag") or info.get("LastModified") or info.get("mtime") or "")
    return Source(uri, int(info.get("size") or 0), etag.strip('"'), filter_reason(uri), metadata or {})


def _from_manifest(location: str) -> list[Source]:
    rows = _manifest_rows(location)
    base = location.rsplit("/", 1)[0]
    pairs = []
    for number, row in enumerate(rows, 1):
        uri = row.pop("uri", None)
        if not isinstance(uri, str | None):
            raise InputError(f"{location}: row {number}: its 'uri' is {str(uri)[:80]}, no text")
        if uri is None or not uri.strip():
            raise InputError(f"{location}: row {number} has no 'uri'; each row needs one")
        absolute = uri if is_remote(uri) or os.path.isabs(uri) or uri.startswith("file://") else f"{base}/{uri}"
        pairs.append((canonical(absolute), row))
    with ThreadPoolExecutor(_STAT_THREADS) as pool:
        return list(pool.map(lambda pair: _stat_source(*pair), pairs))


def _stat_source(uri: str, metadata: dict[str, Any]) -> Source:
    if not is_remote(uri):
        return local_source(uri, metadata)
    try:
        return remote_source(uri, retrying(lambda: filesystem(uri).info(uri)), metadata)
    except FileNotFoundError:
        return Source(uri, -1, MISSING_ETAG, filter_reason(uri), metadata)


def _json_lines(location: str, text: str) -> Iterator[dict[str, Any]]:
    # JSON in UTF-8 may hold other separators of lines than \n as plain characters.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"manifest {location}, line {number}: it is no JSON ({error.msg})") from None


def _csv_rows(location: str, text: str) -> list[dict[str, Any]]:
    # strict: a quote that is never closed would make one long value of all that follows.
    reader = csv.DictReader(io.StringIO(text), strict=True)
    twice = [name for name, count in Counter(reader.fieldnames or ()).items() if count > 1]
    if twice:
        raise InputError(f"manifest {location} has {twice[0]!r} twice among its columns: each needs a name of its own")
    rows: list[dict[str, Any]] = [dict(row) for row in reader]
    for number, row in enumerate(rows, 1):
        if reader.restkey in row:
            raise InputError(f"manifest {location}: row {number} has more values than there are columns")
    return rows


def _manifest_rows(location: str) -> list[dict[str, Any]]:
    data = read_input(location)
    try:
        if location.lower().endswith(".parquet"):
            rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
        elif location.lower().endswith(".csv"):
            rows = _csv_rows(location, data.decode("utf-8-sig"))
        else:
            rows = list(_json_lines(location, data.decode("utf-8-sig")))
    except (pa.ArrowInvalid, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise InputError(f"manifest {location} cannot be parsed: {explain(error)}") from None
    if not all(isinstance(row, dict) for row in rows):
        raise InputError(f"manifest {location}: each line must be a JSON object with a 'uri'")
    return rows
