"""What every request passes on its way to the application, from outside to inside."""

from pipeline.serving.api_keys import Access
from pipeline.serving.envelope import App, Envelope
from pipeline.serving.guard import Guard
from pipeline.serving.security_headers import SecurityHeaders, with_cors
from schemas.front import FrontSettings


def fronted(app: App, settings: FrontSettings, access: Access, *, sets_request_id: bool = True) -> App:
    """An application behind the layers that keep it.

    Args:
        app: what answers.
        settings: of the service.
        access: who may ask.
        sets_request_id: whether to add X-Request-Id to answers.
    """
    guarded = Envelope(Guard(app, access), sets_request_id=sets_request_id)
    return SecurityHeaders(with_cors(guarded, settings.cors_origin))
