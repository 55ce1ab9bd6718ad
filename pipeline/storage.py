"""Objects in a local directory or in s3://bucket/prefix, through fsspec: whole or absent, errors in one line.

Credentials and endpoint of S3 come from the usual AWS environment variables (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, profiles), read by botocore itself.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.spec import AbstractFileSystem

from schemas.errors import InputError, ReelsiftError, StorageError, UsageError

_T = TypeVar("_T")
_RETRY_WAITS_S = (0.2, 0.8, 3.0)
# What no retry can mend; everything else of an object store may be a passing fault.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)


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
    """
    if is_remote(uri):
        return uri.rstrip("/")
    return os.path.abspath(os.path.expanduser(uri.removeprefix("file://")))


def filesystem(uri: str) -> AbstractFileSystem:
    """The fsspec file system of a URI. Listings are never cached: other processes write too.

    Raises:
        UsageError: a scheme that no installed file system serves.
    """
    if not is_remote(uri):
        return fsspec.filesystem("file", auto_mkdir=True, use_listings_cache=False)
    scheme = uri.split("://", 1)[0]
    try:
        if scheme == "s3":
            return fsspec.filesystem("s3", use_listings_cache=False, config_kwargs=_s3_config())
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except (ValueError, ImportError):
        raise UsageError(f"{uri}: no file system for {scheme}://; use a local path or s3://bucket/prefix") from None


def _s3_config() -> dict[str, Any]:
    # Without limits a dead endpoint holds a worker for minutes; botocore's own retries sit below ours.
    return {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 4, "mode": "standard"}}


def explain(error: BaseException) -> str:
    """One line for an error of a file system, without its class tower."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if isinstance(error, PermissionError):
        return f"access denied ({text})" if "Errno" not in text else "access denied"
    return text[:300]


def retrying(work: Callable[[], _T]) -> _T:
    """Run `work`; on a passing fault wait and try again, at most three times more."""
    for wait_s in _RETRY_WAITS_S:
        try:
            return work()
        except _FINAL:
            raise
        except OSError:
            time.sleep(wait_s)
    return work()


class Store:
    """The objects under one location.

    Args:
        root: a local directory or s3://bucket/prefix; a local one is made at the first write.
    """

    def __init__(self, root: str) -> None:
        self.root = canonical(root)
        self._fs = filesystem(self.root)
        self.is_remote = is_remote(self.root)

    def path(self, name: str) -> str:
        """The full location of the object `name`."""
        return f"{self.root}/{name}" if name else self.root

    def _guard(self, verb: str, name: str, work: Callable[[], _T]) -> _T:
        try:
            return retrying(work)
        except ReelsiftError:
            raise
        except Exception as error:
            # botocore raises classes of its own (NoCredentialsError, EndpointConnectionError) that are no OSError.
            if not isinstance(error, OSError) and not type(error).__module__.startswith(("botocore", "aiobotocore")):
                raise
            raise StorageError(f"cannot {verb} {self.path(name)}: {explain(error)}") from error

    def exists(self, name: str) -> bool:
        """Whether the object is there."""
        return self._guard("look up", name, lambda: bool(self._fs.exists(self.path(name))))

    def read(self, name: str) -> bytes:
        """The bytes of an object.

        Raises:
            StorageError: it is missing or cannot be read.
        """
        return self._guard("read", name, lambda: bytes(self._fs.cat_file(self.path(name))))

    def write(self, name: str, data: bytes) -> None:
        """Write an object so that readers see the old one, the new one, or none: never a part.

        Raises:
            StorageError: the location refuses; nothing of it is left behind.
        """
        self._guard("write", name, lambda: self._put(name, data))

    def _put(self, name: str, data: bytes) -> None:
        if self.is_remote:
            self._fs.pipe_file(self.path(name), data)
            return
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        # The name is unique to the writer, so two of them cannot share a part; dot-files are no tables.
        part = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def create(self, name: str, data: bytes) -> bool:
        """Write an object only if there is none yet; whether this call made it."""
        if self.exists(name):
            return False
        if self.is_remote:
            try:
                self._fs.pipe_file(self.path(name), data, mode="create")
            except (FileExistsError, OSError) as error:
                # s3fs gives errno 22 for a lost If-None-Match race, not FileExistsError.
                if self.exists(name):
                    return False
                raise StorageError(f"cannot write {self.path(name)}: {explain(error)}") from error
            return True
        self.write(name, data)
        return True

    def delete(self, name: str) -> None:
        """Remove an object; a missing one is no error."""
        try:
            self._guard("delete", name, lambda: self._fs.rm_file(self.path(name)))
        except StorageError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise

    def names(self, folder: str, suffix: str = "") -> list[str]:
        """Names of the objects directly in a folder, sorted, without the folder; a missing folder is empty."""
        prefix = self.path(folder)

        def work() -> list[str]:
            try:
                found = self._fs.ls(prefix, detail=True)
            except FileNotFoundError:
                return []
            files = [os.path.basename(str(info["name"])) for info in found if info["type"] == "file"]
            return sorted(name for name in files if name.endswith(suffix) and not name.startswith("."))

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

    def download(self, name: str, target: Path) -> None:
        """Copy an object to a local file, whole or not at all."""
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            self._guard("read", name, lambda: self._fs.get_file(self.path(name), str(part)))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def upload(self, source: Path, name: str) -> None:
        """Copy a local file to an object, whole or not at all."""
        if self.is_remote:
            self._guard("write", name, lambda: self._fs.put_file(str(source), self.path(name)))
            return
        target = Path(self.path(name))

        def work() -> None:
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.{os.getpid()}.part")
            try:
                self._fs.get_file(str(source), str(part))
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)

        self._guard("write", name, work)


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
