"""The ASGI layer that says at once, before anything is parsed, that there is no room for another search."""

from dataclasses import dataclass
from typing import Final

from pipeline.serving.http.envelope import App, Receive, Scope, Send
from pipeline.serving.http.error_answers import answer
from pipeline.serving.limits.limiter import Limiter

_PATHS: Final = frozenset({"/v1/search", "/v1/search:batch"})
_BELOW: Final = ("/v1/similar/", "/v1/clips/")


@dataclass(frozen=True)
class _Route:
    """Stands for the route that a refused request did not reach, so that it is counted under its path."""

    path: str


class Admission:
    """Answers 429 while the limiter has no room. Who comes past is counted by the backend.

    Args:
        app: what answers otherwise.
        limiter: of the backend.
    """

    def __init__(self, app: App, limiter: Limiter) -> None:
        self._app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other events pass through."""
        if self._limiter.is_full and scope["type"] == "http" and is_work(scope["path"]):
            scope["route"] = _Route(template(scope["path"]))
            await answer(self._limiter.refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def is_work(path: str) -> bool:
    """Whether answering a path takes more than a look at what is known.

    >>> is_work("/v1/search"), is_work("/v1/clips/c1"), is_work("/v1/index"), is_work("/readyz")
    (True, True, False, False)
    """
    return path in _PATHS or path.startswith(_BELOW)


def template(path: str) -> str:
    """The path of work as its route has it, without what a caller made up.

    >>> template("/v1/search:batch"), template("/v1/clips/c1")
    ('/v1/search:batch', '/v1/clips/{clip_id}')
    """
    below = next((prefix for prefix in _BELOW if path.startswith(prefix)), None)
    return path if below is None else below + "{clip_id}"
