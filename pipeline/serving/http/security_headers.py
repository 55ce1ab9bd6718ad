"""The ASGI layer that tells browsers what an answer may not be used for."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware

from pipeline.serving.http.envelope import App, Message, Receive, Scope, Send

# Scripts, styles and media of this server only; heat maps come as data.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
_HTML = b"text/html"
_ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    # Answers are of their moment, and may be of a key; what may be kept says so itself.
    b"cache-control": b"no-store",
}


class SecurityHeaders:
    """Adds what an answer does not say itself.

    Args:
        app: what answers.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other events pass through."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _completed(message.get("headers", ()))
            await send(message)

        await self._app(scope, receive, send_guarded if scope["type"] == "http" else send)


def _completed(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    given = {name.lower(): value for name, value in headers}
    policy = _PAGE_POLICY if given.get(b"content-type", b"").startswith(_HTML) else _POLICY
    wanted = _ALWAYS | {b"content-security-policy": policy.encode()}
    return [*headers, *((name, value) for name, value in wanted.items() if name not in given)]


def with_cors(app: App, origins: Sequence[str]) -> App:
    """Let pages of these origins ask; without any, browsers keep all other pages out."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "x-request-id", "traceparent"],
        expose_headers=["x-request-id", "retry-after"],
        max_age=600,
    )
