"""The gRPC server of an ingress replica; replicas share its port as they do that of HTTP."""

from typing import Any, Final

import grpc

from pipeline.serving.grpc.calls import Calls
from pipeline.serving.grpc.readable import Readable
from pipeline.serving.grpc.reelsift_pb2_grpc import add_ReelsiftServicer_to_server
from pipeline.serving.http.envelope import MAX_BATCH_BODY_BYTES

_OPTIONS: Final = (("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", MAX_BATCH_BODY_BYTES))


class GrpcListener:
    """Serves calls from the event loop that starts it.

    Args:
        calls: what answers.
        host: address to listen on.
        port: of it.
        grace_s: how long calls under way may take once it is told to end.
    """

    def __init__(self, calls: Calls, host: str, port: int, grace_s: int) -> None:
        self._calls = calls
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._grace_s = grace_s
        self._server: Any = None

    async def start(self) -> None:
        """Listen; returns when connections are taken.

        Raises:
            RuntimeError: the address cannot be listened on.
        """
        server = grpc.aio.server(interceptors=[Readable()], options=_OPTIONS)
        add_ReelsiftServicer_to_server(self._calls, server)  # type: ignore[no-untyped-call]
        server.add_insecure_port(self._address)
        await server.start()
        self._server = server

    def check(self) -> None:
        """Prove that it serves.

        Raises:
            RuntimeError: it does not.
        """
        if self._server is None:
            raise RuntimeError("the gRPC server has ended")

    async def stop(self) -> None:
        """Take no more calls, and end when those under way have."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(self._grace_s)
