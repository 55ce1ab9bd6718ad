"""Everything around the search: from outside to inside what a request passes, and the paths that are not searches."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from fastapi import FastAPI

from pipeline.serving.backend import Backend
from pipeline.serving.http.api_keys import Access, access_of
from pipeline.serving.http.envelope import App, Envelope
from pipeline.serving.http.guard import Guard
from pipeline.serving.http.guard_description import describe_guard
from pipeline.serving.http.http_app import Lifespan, build_app
from pipeline.serving.http.media_routes import MediaSource, media_routes
from pipeline.serving.http.metrics_routes import metrics_routes
from pipeline.serving.http.page_routes import page_routes
from pipeline.serving.http.security_headers import SecurityHeaders, with_cors
from pipeline.serving.http.signed_backend import SignedBackend
from pipeline.serving.http.signed_links import Links
from pipeline.serving.telemetry.account import Account
from pipeline.serving.telemetry.metrics import Metrics
from pipeline.serving.telemetry.observe import Observe
from pipeline.serving.telemetry.observed_backend import ObservedBackend
from pipeline.serving.telemetry.request_log import RequestLog
from pipeline.serving.telemetry.tracing import Tracer, check_traces, tracer_of
from schemas.front import FrontSettings

_SIGNING_BYTES = 32


@dataclass(frozen=True)
class Desk:
    """What all ways in to a search lead to.

    Attributes:
        backend: answers, counted and with the addresses of media.
        access: who may ask.
        account: of the requests.
    """

    backend: Backend
    access: Access
    account: Account


@dataclass(frozen=True)
class Front:
    """What stands around the search, drawn up once and the same in all replicas.

    Attributes:
        settings: of the service.
        access: who may ask.
        links: signs addresses of media; None where none are served.
    """

    settings: FrontSettings
    access: Access
    links: Links | None

    @classmethod
    def of(cls, settings: FrontSettings) -> "Front":
        """Read the keys and draw the secret of the addresses.

        Raises:
            ConfigError: keys are not where they should be, or traces cannot be sent.
        """
        check_traces(settings.traces)
        links = Links(secrets.token_bytes(_SIGNING_BYTES)) if settings.serves_media else None
        return cls(settings, access_of(settings), links)

    def app(
        self,
        backend: Backend,
        media: MediaSource | None = None,
        lifespan: Lifespan | None = None,
        *,
        inside: Callable[[App], App] | None = None,
        sets_request_id: bool = True,
        desk: Desk | None = None,
    ) -> App:
        """The whole ASGI application.

        Args:
            backend: answers searches.
            media: reads videos; None for none.
            lifespan: runs around the application's life.
            inside: a layer around the paths alone, behind the keys.
            sets_request_id: whether to add X-Request-Id to answers.
            desk: of the same backend, where it has another way in; None for one of its own.
        """
        desk = desk or self.desk(backend, media)
        metrics = desk.account.metrics
        app = build_app(desk.backend, _then_close(lifespan, desk.account.tracer))
        app.include_router(page_routes())
        app.include_router(metrics_routes(backend, metrics))
        if self.links and media:
            app.include_router(media_routes(backend, media, self.links, metrics))
        describe_guard(app)
        kept = Guard(inside(app) if inside else app, self.access)
        guarded = with_cors(Envelope(kept, sets_request_id=sets_request_id), self.settings.cors_origin)
        return Observe(SecurityHeaders(guarded), desk.account)

    def desk(self, backend: Backend, media: MediaSource | None = None) -> Desk:
        """What every way in shares; arguments as of `app`."""
        account = Account(Metrics(), RequestLog(self.settings), tracer_of(self.settings.traces))
        answering: Backend = ObservedBackend(backend, account.metrics)
        if self.links and media:
            answering = SignedBackend(answering, self.links)
        return Desk(answering, self.access, account)


def _then_close(lifespan: Lifespan | None, tracer: Tracer) -> Lifespan:
    @contextlib.asynccontextmanager
    async def both(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with lifespan(app) if lifespan else contextlib.nullcontext():
                yield
        finally:
            tracer.close()

    return both
