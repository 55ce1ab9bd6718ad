"""What is no message of the .proto is refused as a wrong argument; gRPC itself would tell of a Python exception."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from pipeline.serving.errors import INVALID_REQUEST, failure
from pipeline.serving.grpc.failures import code_of, message_of_failure, trailing_of

_UNREADABLE: Final = object()
_WHAT: Final = failure(422, INVALID_REQUEST, "the bytes are no message of this call: see reelsift.proto")


class Readable(grpc.aio.ServerInterceptor):
    """Stands before all calls; each takes one message and answers one."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """The handler of a call, which now also knows what to say of bytes that are no message."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        return grpc.unary_unary_rpc_method_handler(
            _checked(handler.unary_unary),
            request_deserializer=_read(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )


def _read(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:
            return _UNREADABLE

    return read


def _checked(answer: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def checked(request: Any, context: Any) -> Any:
        if request is _UNREADABLE:
            await context.abort(code_of(_WHAT), message_of_failure(_WHAT), trailing_of(_WHAT))
        return await answer(request, context)

    return checked
