"""What the clients of the service have in common: a question with its tries, and the one error."""

import time
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from schemas.errors import ReelsiftError
from schemas.http import ErrorBody

_M = TypeVar("_M", bound=BaseModel)
_BUSY = frozenset({429, 503})
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0
_RETRY_AFTER = "retry-after"
_LEAST_S = 0.001


class ServiceError(ReelsiftError):
    """The service did not answer what was asked.

    Attributes:
        status: HTTP status; None where there was no answer.
        code: of the error body, such as "index_empty"; "unreachable" where there was no answer.
        field: the part of the request that is to blame, if one is.
        request_id: what the service's log has it under, if it said so.
    """

    def __init__(
        self,
        message: str,
        code: str,
        status: int | None = None,
        field: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.request_id = request_id


class Call:
    """One question and its tries: what to send, and whether to wait and send it again.

    Args:
        method: of HTTP.
        path: of the question.
        body: to be sent as JSON; None for none.
        params: of the address.
        timeout_s: for all tries together.
    """

    def __init__(self, method: str, path: str, body: Any, params: dict[str, Any] | None, timeout_s: float) -> None:
        self.method, self.path, self.body, self.params = method, path, body, params
        self._end = time.monotonic() + timeout_s
        self._wait_s = _FIRST_WAIT_S

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """What to send now; it may take as long as is left.

        Raises:
            ServiceError: the body holds what JSON has no word for, such as NaN.
        """
        try:
            return http.build_request(
                self.method, self.path, json=self.body, params=self.params, timeout=max(_LEAST_S, self._left_s())
            )
        except ValueError as error:
            raise ServiceError(f"the request is no JSON: {error}", "invalid_request") from None

    def wait_after(self, answer: httpx.Response) -> float:
        """Seconds to wait before another try, after an answer that is not 2xx.

        Raises:
            ServiceError: no other try can help, or there is no time for one.
        """
        error = _error_of(answer)
        if answer.status_code not in _BUSY:
            raise error
        asked = answer.headers.get(_RETRY_AFTER, "")
        return self._wait(error, float(asked) if asked.isdigit() else 0.0)

    def wait_after_silence(self, silence: httpx.TransportError) -> float:
        """The same after no answer at all: every question may be asked twice.

        Raises:
            ServiceError: there is no time for another try.
        """
        what = str(silence) or type(silence).__name__
        return self._wait(ServiceError(f"the service does not answer: {what}", "unreachable"), 0.0)

    def _wait(self, error: ServiceError, asked_s: float) -> float:
        wait_s = max(self._wait_s, asked_s)
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
        if wait_s >= self._left_s():
            raise error
        return wait_s

    def _left_s(self) -> float:
        return self._end - time.monotonic()


def headers(key: str | None) -> dict[str, str]:
    """What each request says of who asks."""
    return {} if key is None else {"authorization": f"Bearer {key}"}


def read(kind: type[_M], answer: httpx.Response) -> _M:
    """The body of a good answer.

    Raises:
        ServiceError: it is none of this kind.
    """
    try:
        # A newer service may tell more than this client knows of.
        return kind.model_validate_json(answer.content, extra="ignore")
    except ValidationError:
        message = f"what answers at {answer.url} is no reelsift service of this kind"
        raise ServiceError(message, "not_understood", answer.status_code) from None


def _error_of(answer: httpx.Response) -> ServiceError:
    request_id = answer.headers.get("x-request-id")
    try:
        detail = ErrorBody.model_validate_json(answer.content).error
    except ValidationError:
        message = f"{answer.url} answers {answer.status_code} {answer.reason_phrase}"
        return ServiceError(message, "http_error", answer.status_code, None, request_id)
    return ServiceError(detail.message, detail.code, answer.status_code, detail.field, request_id)
