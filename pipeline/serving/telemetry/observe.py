"""The outermost ASGI layer: each request is counted, gets its line in the log and, where asked for, its trace."""

from typing import Any

from pipeline.serving.http.envelope import App, Message, Receive, Scope, Send
from pipeline.serving.telemetry.account import Account

_NO_ROUTE = "other"


class Observe:
    """Keeps account of requests.

    Args:
        app: what answers.
        account: where it is kept.
    """

    def __init__(self, app: App, account: Account) -> None:
        self._app = app
        self._account = account

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other events pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._account.request() as facts:
            facts.headers = list(scope.get("headers", ()))

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    facts.status = message["status"]
                await send(message)

            try:
                await self._app(scope, receive, watched)
            finally:
                facts.path, facts.method = route_of(scope), known_method(scope["method"])
                facts.request_id = scope.get("state", {}).get("request_id", "")


def route_of(scope: Scope) -> str:
    """The template of the path that answered, such as /v1/clips/{clip_id}; "other" where none did.

    >>> route_of({"path": "/wp-login.php"})
    'other'
    """
    route: Any = scope.get("route")
    return str(getattr(route, "path", _NO_ROUTE))


def known_method(method: str) -> str:
    """The method, where it is one that is answered.

    >>> known_method("GET"), known_method("X-MADE-UP")
    ('GET', 'other')
    """
    return method if method in {"GET", "HEAD", "POST", "OPTIONS"} else "other"
