"""The ASGI layer that lets in who may come in: keys, the length of an address, and names of this machine."""

import ipaddress

from fastapi import Response

from pipeline.serving.errors import Failure, failure
from pipeline.serving.http.api_keys import Access
from pipeline.serving.http.envelope import App, Receive, Scope, Send
from pipeline.serving.http.error_answers import answer

MAX_URL_BYTES = 8 << 10
_ADMIN = "/admin/"
# The page asks for the key itself; media are signed, since no element of a page can send a header.
_OPEN = frozenset({"/", "/favicon.ico", "/healthz", "/readyz"})
_OPEN_BELOW = ("/page/", "/media/", "/thumbnails/")
_BEARER = "bearer "


class Guard:
    """Answers 401, 403 or 414 in the place of the application where that is due.

    Args:
        app: what answers otherwise.
        access: who may ask for what.
    """

    def __init__(self, app: App, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other events pass through."""
        refused = self._refusal(scope) if scope["type"] == "http" else None
        await (refused or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        path = scope["path"]
        if len(scope.get("raw_path") or path.encode()) + len(scope.get("query_string", b"")) > MAX_URL_BYTES:
            return answer(failure(414, "uri_too_long", f"the address is longer than {MAX_URL_BYTES} bytes: shorten it"))
        headers = dict(scope.get("headers", ()))
        if self._access.local_only and not is_local_name(headers.get(b"host", b"").decode("latin-1")):
            return answer(_strange_name())
        if is_open(path):
            return None
        token = bearer_token(headers.get(b"authorization", b"").decode("latin-1"))
        if path.startswith(_ADMIN):
            return self._admin_refusal(token)
        return None if self._access.may_search(token) else _unauthorized(token)

    def _admin_refusal(self, token: str | None) -> Response | None:
        access = self._access
        if access.may_administer(token):
            return None
        known = access.may_search(token)
        if not access.admin and known:
            return answer(
                _forbidden("this service was started without --admin-keys, so nobody may change what it serves")
            )
        # With a key that may search, or where everyone may, a key that may do more is asked for.
        if token is not None and known and access.api:
            return answer(_forbidden("this key may search only: an admin key is needed"))
        return _unauthorized(token)


def is_open(path: str) -> bool:
    """Whether a path is answered without a key.

    >>> is_open("/"), is_open("/media/c1"), is_open("/v1/search"), is_open("/metrics"), is_open("/mediabc")
    (True, True, False, False, False)
    """
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def bearer_token(header: str) -> str | None:
    """The token of an Authorization header; None without one.

    >>> bearer_token("Bearer abc"), bearer_token("bearer  abc "), bearer_token("Basic abc"), bearer_token("Bearer ")
    ('abc', 'abc', None, None)
    """
    if header[: len(_BEARER)].lower() != _BEARER:
        return None
    return header[len(_BEARER) :].strip() or None


def is_local_name(host: str) -> bool:
    """Whether a Host header names this machine as seen from itself.

    A page of another site can lead a browser here by a name of its own (DNS rebinding), but not by one of these.

    >>> [is_local_name(host) for host in ("localhost:8000", "127.0.0.1", "[::1]:8000", "", "evil.example:8000")]
    [True, True, True, True, False]
    """
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name in ("", "localhost") or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def unauthorized(token: str | None) -> Failure:
    """What is told to whoever came without a key, or with a wrong one.

    >>> unauthorized(None).status, unauthorized("abc").detail.message
    (401, 'this key is not known here')
    """
    if token is None:
        return failure(401, "unauthorized", "a key is needed: send 'Authorization: Bearer KEY'")
    return failure(401, "unauthorized", "this key is not known here")


def _unauthorized(token: str | None) -> Response:
    challenge = 'Bearer realm="reelsift"' + (', error="invalid_token"' if token is not None else "")
    return answer(unauthorized(token), {"www-authenticate": challenge})


def _forbidden(message: str) -> Failure:
    return failure(403, "forbidden", message)


def _strange_name() -> Failure:
    return _forbidden(
        "without keys only names of this machine are answered: ask 127.0.0.1, or start with --api-keys or --no-auth"
    )
