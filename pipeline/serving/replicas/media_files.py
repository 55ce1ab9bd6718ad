"""Users' video files: which may be read, what they are, and pieces of them."""

import errno
import mimetypes
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pipeline.storage import explain, filesystem, is_remote, retrying
from schemas.errors import StorageError

_T = TypeVar("_T")
# What the system's own list does not have everywhere.
_TYPES = {".mkv": "video/x-matroska", ".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"}
_TYPES |= {".mov": "video/quicktime", ".ts": "video/mp2t", ".avi": "video/x-msvideo", ".ogv": "video/ogg"}
_GONE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


@dataclass(frozen=True)
class MediaFile:
    """What is known of a video file.

    Attributes:
        size_bytes: of it.
        etag: changes with its content.
        content_type: by its name.
    """

    size_bytes: int
    etag: str
    content_type: str


def servable(uri: str) -> bool:
    """Whether a location is one that we read: a file by its full path, or an object in S3. No address is fetched.

    >>> servable("/data/a.mp4"), servable("s3://bucket/a.mp4"), servable("http://10.0.0.1/"), servable("a.mp4")
    (True, True, False, False)
    """
    if is_remote(uri):
        return uri.startswith("s3://")
    return os.path.isabs(uri)


def content_type(uri: str) -> str:
    """What a file is, by its name; bytes of no kind where that is no video's.

    >>> content_type("/data/a.MP4"), content_type("/data/passwd"), content_type("/data/a.html")
    ('video/mp4', 'application/octet-stream', 'application/octet-stream')
    """
    ending = os.path.splitext(uri)[1].lower()
    guess = _TYPES.get(ending) or mimetypes.guess_type(f"a{ending}")[0] or ""
    return guess if guess.startswith("video/") else "application/octet-stream"


def file_facts(uri: str) -> MediaFile | None:
    """A file's facts, or None where there is no such file, or it is not ours to read.

    Raises:
        StorageError: the object store is away.
    """

    def look() -> MediaFile | None:
        if is_remote(uri):
            found = filesystem(uri).info(uri)
            etag = str(found.get("ETag", "")).strip('"')
            return MediaFile(int(found["size"]), f'"{etag}"', content_type(uri))
        info = os.stat(uri)
        if not stat.S_ISREG(info.st_mode):
            return None
        return MediaFile(info.st_size, f'"{info.st_mtime_ns:x}-{info.st_size:x}"', content_type(uri))

    return _unless_gone(look) if servable(uri) else None


def read_file(uri: str, start: int, count: int) -> bytes | None:
    """Bytes of a file, or None where it is gone.

    Raises:
        StorageError: the object store is away.
    """

    def read() -> bytes | None:
        if is_remote(uri):
            return bytes(filesystem(uri).cat_file(uri, start=start, end=start + count))
        file = os.open(uri, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.pread(file, count, start) if stat.S_ISREG(os.fstat(file).st_mode) else None
        finally:
            os.close(file)

    return _unless_gone(read) if servable(uri) else None


def _unless_gone(work: Callable[[], _T | None]) -> _T | None:
    try:
        return retrying(work)
    except ValueError:
        return None  # a name that no file can have
    except OSError as error:
        if isinstance(error, _GONE) or error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return None
        raise StorageError(f"a video cannot be read: {explain(error)}") from error
