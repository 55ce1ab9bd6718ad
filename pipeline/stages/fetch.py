"""Fetch: a source as a local file that is the one that was planned."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fsspec.spec import AbstractFileSystem

from pipeline.sources import MISSING_ETAG, local_source, remote_source
from pipeline.storage import WORKER_PATIENCE_S, explain, filesystem, is_remote, retrying
from schemas.errors import BadVideoError


def check_source(*, planned_etag: str, etag: str, size_bytes: int, max_bytes: int) -> None:
    """Refuse a source that is missing, changed, empty or too large.

    >>> check_source(planned_etag="a", etag="a", size_bytes=5, max_bytes=10)

    Raises:
        BadVideoError: with the reason.
    """
    if etag == MISSING_ETAG:
        raise BadVideoError("missing", "no such file")
    if etag != planned_etag:
        raise BadVideoError("changed", "it is not the file that was planned; the next run plans it anew")
    if size_bytes == 0:
        raise BadVideoError("empty", "0 bytes")
    if size_bytes > max_bytes:
        raise BadVideoError("too_large", f"{size_bytes} bytes; max_source_bytes is {max_bytes}")


@contextmanager
def local_copy(uri: str, planned_etag: str, max_bytes: int) -> Iterator[str]:
    """A local path with the source's bytes; a remote one is removed afterwards.

    Raises:
        BadVideoError: this source can never be decoded as planned.
        OSError: a fault of the storage that outlived the retries; the source itself may be good.
    """
    if not is_remote(uri):
        source = local_source(uri)
        check_source(planned_etag=planned_etag, etag=source.etag, size_bytes=source.size_bytes, max_bytes=max_bytes)
        if source.etag == "special":
            raise BadVideoError("not_a_file", "no regular file")
        if not os.access(uri, os.R_OK):
            raise BadVideoError("unreadable", "permission denied")
        yield uri
        return
    fs = filesystem(uri)
    try:
        source = remote_source(uri, retrying(lambda: fs.info(uri), WORKER_PATIENCE_S))
        check_source(planned_etag=planned_etag, etag=source.etag, size_bytes=source.size_bytes, max_bytes=max_bytes)
        with tempfile.TemporaryDirectory(prefix="reelsift-") as folder:
            # The suffix helps demuxers that have no magic bytes to go by.
            path = str(Path(folder) / f"source{os.path.splitext(uri)[1][:12]}")
            retrying(lambda: _fetch(fs, uri, path, source.size_bytes), WORKER_PATIENCE_S)
            yield path
    except FileNotFoundError:
        raise BadVideoError("missing", "no such object") from None
    except PermissionError as error:
        raise BadVideoError("unreadable", explain(error)) from None


def _fetch(fs: AbstractFileSystem, uri: str, path: str, size_bytes: int) -> None:
    # A body that ends early is no error to every client.
    fs.get_file(uri, path)
    if os.path.getsize(path) != size_bytes:
        raise OSError(f"{uri}: {os.path.getsize(path)} of {size_bytes} bytes came")


class HeldCopy:
    """The file of one source, kept from call to call: the parts of a long video are asked for one after the other."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._stack = ExitStack()
        self._held = ("", "", "")

    def path(self, uri: str, planned_etag: str) -> str:
        """A local path with the source's bytes, until another source is asked for.

        Raises:
            BadVideoError: as `local_copy`.
            OSError: as `local_copy`.
        """
        if self._held[:2] != (uri, planned_etag):
            self.close()
            self._held = (uri, planned_etag, self._stack.enter_context(local_copy(uri, planned_etag, self._max_bytes)))
        return self._held[2]

    def close(self) -> None:
        """Remove what was fetched."""
        self._held = ("", "", "")
        self._stack.close()
