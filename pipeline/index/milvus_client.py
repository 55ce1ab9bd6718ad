"""The one place that imports pymilvus: connections with bounded waits, no log noise, faults in one line."""

import logging
import os
import socket
from urllib.parse import urlsplit

# Must be set before the imports. Rows in the memtable are searched in Python, 20 times slower than flushed ones.
os.environ.setdefault("MILVUS_LITE_MEMTABLE_MEMORY_LIMIT_BYTES", str(4 << 20))
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from pymilvus import MilvusClient, MilvusException

from schemas.errors import UsageError, VectorStoreError

TOKEN_VARIABLE = "REELSIFT_MILVUS_TOKEN"
NOT_LOADED = 101
_DEFAULT_PORT = 19530
_CONNECT_S = 5
_CONNECT_FAILED = 2
_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
# All log each failed call with its traceback, although they raise it or answer with it too.
for _name in ("pymilvus", "milvus_lite", "grpc._server"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def check_uri(uri: str) -> None:
    """Refuse an address that is none, or that holds a secret: it is written into manifests.

    >>> check_uri("http://127.0.0.1:19530")

    Raises:
        UsageError: not http(s)://host:port, or with a user or password in it.
    """
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"--milvus {uri!r} is no address: write http://host:port, or leave it out for Milvus Lite")
    if parts.username or parts.password:
        raise UsageError(f"--milvus names a user: give http://{parts.hostname}, and user:password in {TOKEN_VARIABLE}")


def connect(uri: str, token: str = "") -> MilvusClient:
    """A client of its own connection.

    Raises:
        VectorStoreError: nothing answers there, or it refuses.
    """
    try:
        return MilvusClient(uri, token=token, timeout=_CONNECT_S, dedicated=True)
    except (MilvusException, grpc.RpcError) as error:
        if is_away(error):
            raise VectorStoreError(f"Milvus at {uri} does not answer: start it, or check the address") from error
        raise VectorStoreError(f"Milvus at {uri} refuses: {explain(error)}") from error


def is_listening(uri: str) -> bool:
    """Whether something takes TCP connections there."""
    parts = urlsplit(uri)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or _DEFAULT_PORT), timeout=1):
            return True
    except OSError:
        return False


def code_of(error: BaseException) -> object:
    """The error code of Milvus or of gRPC."""
    code = getattr(error, "code", None)
    return code() if callable(code) else code


def is_away(error: BaseException) -> bool:
    """Whether an error means that the server went away, rather than that it refused."""
    return code_of(error) in {_CONNECT_FAILED, *_AWAY}


def explain(error: BaseException) -> str:
    """What Milvus says, in one line, without gRPC's tower."""
    details = getattr(error, "details", None)
    text = str(getattr(error, "message", "") or (details() if callable(details) else "") or error)
    return " ".join(text.split())[:300]
