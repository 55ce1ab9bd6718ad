"""Connections off a listening socket: all that wait, at each turn of the event loop.

uvloop takes one in each turn. Where turns take 20 ms, under load, that is 50 a second: others waited in the kernel
until its queue was full, and then for seconds until their client tried again, while requests on open connections were
refused in 30 ms.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

# In one turn, so that those who have a connection get their turn too.
_AT_ONCE: Final = 256
# Without free file descriptors there is nothing to do but wait for some, as asyncio does.
_RETRY_S: Final = 1.0


class Accepting:
    """Gives each connection a protocol. For the event loop that is running when it is made.

    Args:
        opened: a listening socket that does not block; closed at the end.
        make_protocol: for a connection.
    """

    def __init__(self, opened: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        self._opened = opened
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[object]] = set()
        self._again: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Take connections from now on."""
        self._again = None
        self._loop.add_reader(self._opened.fileno(), self._accept)

    def stop(self) -> None:
        """Take no more, and close the socket. May be called twice."""
        if self._again is not None:
            self._again.cancel()
        if self._opened.fileno() >= 0:
            self._loop.remove_reader(self._opened.fileno())
            self._opened.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._opened.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError:
                self._loop.remove_reader(self._opened.fileno())
                self._again = self._loop.call_later(_RETRY_S, self.start)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._take(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:
            # It is gone already.
            connection.close()
