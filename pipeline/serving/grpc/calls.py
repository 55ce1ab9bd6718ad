"""The calls of gRPC: let in by the same keys, checked by the same rules and answered by the same backend as HTTP's."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from google.protobuf.message import Message
from pydantic import BaseModel

from pipeline.serving.errors import Failure, FailureError, failure_of
from pipeline.serving.front import Desk
from pipeline.serving.grpc import reelsift_pb2 as pb
from pipeline.serving.grpc.answers import message_of
from pipeline.serving.grpc.failures import code_of, message_of_failure, trailing_of
from pipeline.serving.grpc.reelsift_pb2_grpc import ReelsiftServicer
from pipeline.serving.grpc.requests import batch_request, search_request, similar_request
from pipeline.serving.http.envelope import internal_failure, logger, request_id
from pipeline.serving.http.guard import bearer_token, unauthorized

_PATH: Final = "/reelsift.v1.Reelsift/"
_METHOD: Final = "GRPC"
_OK: Final = 200


class Calls(ReelsiftServicer):
    """Answers the calls.

    Without keys the HTTP interface looks at the name that it is asked by, since a page of another site could lead a
    browser to it. No page can send what begins a connection of gRPC, so there is nothing to look at here.

    Args:
        desk: what answers, who may ask, and where account is kept.
    """

    def __init__(self, desk: Desk) -> None:
        self._backend = desk.backend
        self._access = desk.access
        self._account = desk.account

    async def Search(self, request: pb.SearchRequest, context: Any) -> Message:  # noqa: N802  (the .proto's name)
        """Rank clips for a text."""
        left_s = context.time_remaining()
        return await self._answer("Search", context, lambda: self._backend.search(search_request(request, left_s)))

    async def SearchBatch(self, request: pb.BatchRequest, context: Any) -> Message:  # noqa: N802
        """Rank clips for many texts."""
        left_s = context.time_remaining()
        return await self._answer("SearchBatch", context, lambda: self._backend.batch(batch_request(request, left_s)))

    async def Similar(self, request: pb.SimilarRequest, context: Any) -> Message:  # noqa: N802
        """Clips like a clip."""

        async def found() -> BaseModel:
            asked = similar_request(request)
            return await self._backend.similar(asked.clip_id, asked.k)

        return await self._answer("Similar", context, found)

    async def Clip(self, request: pb.ClipRequest, context: Any) -> Message:  # noqa: N802
        """What is known of a clip."""
        return await self._answer("Clip", context, lambda: self._backend.clip(request.clip_id))

    async def Index(self, request: pb.IndexRequest, context: Any) -> Message:  # noqa: N802
        """The published version."""
        del request
        return await self._answer("Index", context, self._backend.index)

    async def _answer(self, name: str, context: Any, work: Callable[[], Awaitable[BaseModel]]) -> Message:
        with self._account.request() as facts:
            facts.method, facts.path = _METHOD, _PATH + name
            facts.headers = [(key.encode(), _bytes(value)) for key, value in context.invocation_metadata() or ()]
            facts.request_id = request_id({"headers": facts.headers})
            about = (("x-request-id", facts.request_id),)
            try:
                self._let_in(dict(facts.headers))
                answer = message_of(await work())
            except Exception as error:  # noqa: BLE001  (gRPC would tell the caller what the error says)
                what = failure_of(error) or _unforeseen(facts.request_id)
                facts.status = what.status
                await context.abort(code_of(what), message_of_failure(what), (*about, *trailing_of(what)))
            facts.status = _OK
            context.set_trailing_metadata(about)
            return answer

    def _let_in(self, headers: dict[bytes, bytes]) -> None:
        token = bearer_token(headers.get(b"authorization", b"").decode("latin-1"))
        if not self._access.may_search(token):
            raise FailureError(unauthorized(token))


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _unforeseen(identity: str) -> Failure:
    logger.exception("request %s failed", identity)
    return internal_failure(identity)
