"""Objects in a local directory or in s3://bucket/prefix, through fsspec: whole or absent, errors in one line.

Credentials and endpoint of S3 come from the usual AWS environment variables (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, profiles), read by botocore itself.
"""

import errno
import itertools
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import fsspec
from fsspec.spec import AbstractFileSystem

from schemas.errors import InputError, StorageError, UsageError

_T = TypeVar("_T")
_RETRY_WAITS_S = (0.2, 0.8, 3.0)
# An endpoint that swallows requests costs a try a minute or more: then there is no second one.
_RETRY_WITHIN_S = 30.0
# What a worker of a long run waits instead: an object store may be away for a minute, and nobody looks on.
WORKER_PATIENCE_S = 150.0
_LATE_WAIT_S = 10.0
# What no retry can mend; everything else of an object store may be a passing fault.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
_FINAL_ERRNOS = {errno.EINVAL, errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EPERM, errno.ENOSYS}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}  # some FUSE and network disks; there a race is not seen
# s3://bucket needs both slashes and a bucket; a slip must not become a local folder named "s3:".
_SLIP = re.compile(r"[a-z][a-z0-9+.]+:/(?!/)|[a-z][a-z0-9+.]+://(/|$)")


def is_remote(uri: str) -> bool:
    """Whether the URI names an object store rather than a local path.

    >>> is_remote("s3://bucket/a"), is_remote("/data/a"), is_remote("file:///data/a")
    (True, False, False)
    """
    return "://" in uri and not uri.startswith("file://")


def canonical(uri: str) -> str:
    """The one spelling of a location: an absolute path, or scheme://bucket/key without a trailing slash.

    >>> canonical("s3://bucket/a/")
    's3://bucket/a'

    Raises:
        UsageError: a scheme without a bucket, or with one slash only.
    """
    local = uri.removeprefix("file://")
    if _SLIP.match(local):
        raise UsageError(f"{uri!r} is no location: write s3://bucket/prefix or a local path")
    if is_remote(uri):
        return uri.rstrip("/")
    return os.path.abspath(os.path.expanduser(local))


def filesystem(uri: str) -> AbstractFileSystem:
    """The fsspec file system of a URI. Listings are never cached: other processes write too.

    Raises:
        UsageError: a scheme other than s3.
    """
    if not is_remote(uri):
        return fsspec.filesystem("file", auto_mkdir=True, use_listings_cache=False)
    scheme = uri.split("://", 1)[0]
    # fsspec knows many more, but what a run relies on (whole or absent, created once, etags) is promised by S3 alone.
    if scheme != "s3":
        raise UsageError(f"{uri}: no file system for {scheme}://; use a local path or s3://bucket/prefix")
    s3 = fsspec.filesystem("s3", use_listings_cache=False, config_kwargs=_s3_config())
    s3.retries = 2  # its own 5 would multiply with botocore's and ours
    s3.session = s3.session or _session()
    return s3


def _s3_config() -> dict[str, Any]:
    # Without limits a dead endpoint holds a worker for many minutes; botocore's own retries sit below ours.
    return {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2, "mode": "standard"}}


def _session() -> Any:
    # botocore asks for "100 Continue" before the body of a PUT, and aiohttp waits for that without any limit:
    # a write to an endpoint that accepts and then says nothing would never end.
    from aiobotocore.session import AioSession  # noqa: PLC0415 - local runs load no S3 client
    from botocore.handlers import add_expect_header  # noqa: PLC0415

    session = AioSession()
    session.unregister("before-call.s3", add_expect_header)
    return session


def explain(error: BaseException) -> str:
    """One line for an error of a file system, without its class tower."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if isinstance(error, PermissionError):
        return f"access denied ({text})" if "Errno" not in text else "access denied"
    if isinstance(error, NotADirectoryError):
        return "a part of this path is a file, and no folder"
    return text[:300]


def retrying(work: Callable[[], _T], patience_s: float = 0.0) -> _T:
    """Run `work`; on a passing fault wait and try again, at most three times more, or for as long as `patience_s`.

    Raises:
        OSError: the last fault. What S3's clients raise outside of that class (no endpoint, no credentials, half a
            body) is one too.
    """
    started = time.monotonic()
    for wait_s in itertools.chain(_RETRY_WAITS_S, itertools.repeat(_LATE_WAIT_S) if patience_s else ()):
        try:
            return _as_os_error(work)
        except OSError as error:
            too_late = time.monotonic() - started > max(_RETRY_WITHIN_S, patience_s)
            if isinstance(error, _FINAL) or error.errno in _FINAL_ERRNOS or too_late:
                raise
            time.sleep(wait_s)
    return _as_os_error(work)


def _as_os_error(work: Callable[[], _T]) -> _T:
    try:
        return work()
    except Exception as error:
        kind = type(error)
        if isinstance(error, OSError) or not kind.__module__.startswith(("botocore", "aiobotocore", "aiohttp")):
            raise
        # Named, not imported: local runs load no S3 client.
        if "Credentials" in kind.__name__ or "Profile" in kind.__name__:
            raise PermissionError(f"{error}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile") from error
        raise ConnectionError(str(error)) from error


class Store:
    """The objects under one location.

    Args:
        root: a local directory or s3://bucket/prefix; a local one is made at the first write.
        patience_s: how long a passing fault of a remote store is waited out; 0 for some seconds.
    """

    def __init__(self, root: str, patience_s: float = 0.0) -> None:
        self.root = canonical(root)
        self._fs = filesystem(self.root)
        self.is_remote = is_remote(self.root)
        self._patience_s = patience_s if self.is_remote else 0.0

    def path(self, name: str) -> str:
        """The full location of the object `name`."""
        return f"{self.root}/{name}" if name else self.root

    def _guard(self, verb: str, name: str, work: Callable[[], _T]) -> _T:
        try:
            return retrying(work, self._patience_s)
        except (OSError, NotImplementedError) as error:
            why = explain(error)
            if verb == "write" and self.is_remote and isinstance(error, FileNotFoundError):
                why = "the bucket does not exist"
            raise StorageError(f"cannot {verb} {self.path(name)}: {why}") from error

    def exists(self, name: str) -> bool:
        """Whether the object is there."""
        return self._guard("look up", name, lambda: bool(self._fs.exists(self.path(name))))

    def read(self, name: str) -> bytes:
        """The bytes of an object.

        Raises:
            StorageError: it is missing or cannot be read.
        """
        return self._guard("read", name, lambda: bytes(self._fs.cat_file(self.path(name))))

    def read_with(self, name: str, work: Callable[[BinaryIO], _T]) -> _T:
        """What `work` makes of the opened object, of which it reads what it needs; on a passing fault it runs again.

        Raises:
            StorageError: it is missing or cannot be read.
        """

        def opened() -> _T:
            with self._fs.open(self.path(name), "rb") as file:
                return work(file)

        return self._guard("read", name, opened)

    def write(self, name: str, data: bytes) -> None:
        """Write an object so that readers see the old one, the new one, or none: never a part.

        Raises:
            StorageError: the location refuses; nothing of it is left behind.
        """
        self._guard("write", name, lambda: self._put(name, data))

    def create(self, name: str, data: bytes) -> bool:
        """Write an object only if there is none yet; whether this call made it. Of many callers at most one did.

        Raises:
            StorageError: the location refuses; nothing of it is left behind.
        """
        return self._guard("write", name, lambda: self._put_new(name, data))

    def _put(self, name: str, data: bytes) -> None:
        if self.is_remote:
            self._fs.pipe_file(self.path(name), data)
            return
        with self._part(name, data) as part:
            part.replace(self.path(name))

    def _put_new(self, name: str, data: bytes) -> bool:
        if self._fs.exists(self.path(name)):
            return False
        try:
            if self.is_remote:
                self._fs.pipe_file(self.path(name), data, mode="create")
                return True
            with self._part(name, data) as part:
                _link(part, self.path(name))
        except FileNotFoundError:
            raise
        except OSError:
            # s3fs gives errno 22 for a lost If-None-Match race, not FileExistsError.
            if self._fs.exists(self.path(name)):
                return False
            raise
        return True

    @contextmanager
    def _part(self, name: str, data: bytes | None = None) -> Iterator[Path]:
        """A file beside the local object `name`, with `data` safely in it; removed in the end if still there."""
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        # The name is unique to the writer, so two of them cannot share a part; dot-files are no tables.
        part = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            if data is not None:
                with part.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            yield part
        finally:
            part.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Remove an object; a missing one is no error."""
        try:
            self._guard("delete", name, lambda: self._fs.rm_file(self.path(name)))
        except StorageError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise

    def names(self, folder: str, suffix: str = "", *, hidden: bool = False) -> list[str]:
        """Names of the objects directly in a folder, sorted, without the folder; a missing folder is empty.

        Args:
            folder: below the root.
            suffix: what the names end with.
            hidden: also those that begin with a dot, such as the part of a write that was killed.
        """
        found = self.written(folder)
        return sorted(name for name in found if name.endswith(suffix) and (hidden or not name.startswith(".")))

    def written(self, folder: str) -> dict[str, float]:
        """The objects directly in a folder, each with when it was written, in seconds since 1970."""
        prefix = self.path(folder)

        def work() -> dict[str, float]:
            try:
                found = self._fs.ls(prefix, detail=True)
            except FileNotFoundError:
                return {}
            # A "folder" that another tool made is an object whose name ends with a slash: its last part is empty.
            files = {os.path.basename(str(info["name"])): _moment(info) for info in found if info["type"] == "file"}
            return {name: moment for name, moment in files.items() if name}

        return self._guard("list", folder, work)

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in a folder, sorted; a missing folder is empty."""
        prefix = self.path(folder)

        def work() -> list[str]:
            try:
                found = self._fs.ls(prefix, detail=True)
            except FileNotFoundError:
                return []
            return sorted(os.path.basename(str(i["name"]).rstrip("/")) for i in found if i["type"] == "directory")

        return self._guard("list", folder, work)

    def size_of(self, folder: str) -> int:
        """Bytes of the objects directly in a folder; a missing folder has none."""
        prefix = self.path(folder)

        def work() -> int:
            try:
                found = self._fs.ls(prefix, detail=True)
            except FileNotFoundError:
                return 0
            return sum(int(info["size"] or 0) for info in found if info["type"] == "file")

        return self._guard("list", folder, work)

    def download(self, name: str, target: Path) -> None:
        """Copy an object to a local file, whole or not at all."""
        part = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            self._guard("read", name, lambda: self._fs.get_file(self.path(name), str(part)))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def upload(self, source: Path, name: str) -> None:
        """Copy a local file to an object, whole or not at all.

        Raises:
            StorageError: the location refuses, or `source` is no file; nothing of it is left behind.
        """
        if not source.is_file():
            raise StorageError(f"cannot write {self.path(name)}: {source} is no file")
        self._guard("write", name, lambda: self._upload(source, name))

    def _upload(self, source: Path, name: str) -> None:
        if self.is_remote:
            self._fs.put_file(str(source), self.path(name))
            return
        with self._part(name) as part:
            shutil.copyfile(source, part)
            part.replace(self.path(name))


def _moment(info: dict[str, Any]) -> float:
    # The local file system gives a number, S3 a date.
    found = info.get("mtime", info.get("LastModified", 0.0))
    return float(found.timestamp()) if hasattr(found, "timestamp") else float(found)


def _link(part: Path, target: str) -> None:
    try:
        os.link(part, target)  # unlike a rename it never replaces
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        part.replace(target)


def read_input(uri: str) -> bytes:
    """The bytes of a user's input object.

    Raises:
        InputError: it is missing or cannot be read.
    """
    path = canonical(uri)
    try:
        return bytes(retrying(lambda: filesystem(path).cat_file(path)))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {uri}: {explain(error)}") from error
