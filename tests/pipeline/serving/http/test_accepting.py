"""All connections that wait are taken in one turn of the event loop, also of uvloop, which takes one by itself."""

import asyncio
import errno
import socket
import time

import pytest
import uvloop

from pipeline.serving.http import accepting
from pipeline.serving.http.accepting import Accepting
from pipeline.serving.http.listener import shared_socket
from tests.servers.process import free_ports

CLIENTS, LIMIT_S = 60, 30


class Counted(asyncio.Protocol):
    """Counts connections that were made."""

    made = 0

    def connection_made(self, transport):
        type(self).made += 1


class Refusing:
    """A listening socket without a free file descriptor for its first connection."""

    def __init__(self, opened):
        self._opened = opened
        self.refused = 0

    def __getattr__(self, name):
        return getattr(self._opened, name)

    def accept(self):
        if not self.refused:
            self.refused += 1
            raise OSError(errno.EMFILE, "too many open files")
        return self._opened.accept()


@pytest.fixture
def opened():
    return shared_socket("127.0.0.1", *free_ports(1))


@pytest.fixture(autouse=True)
def none_yet():
    Counted.made = 0


async def until(count, turns):
    """Let the loop turn until so many connections were made; whether they were within so many turns."""
    for _ in range(turns):
        await asyncio.sleep(0.001)
        if Counted.made >= count:
            return True
    return False


@pytest.mark.parametrize("make_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_all_that_wait_are_taken_within_a_few_turns(opened, make_loop):
    async def work():
        taking = Accepting(opened, Counted)
        clients = [socket.create_connection(opened.getsockname()) for _ in range(CLIENTS)]
        taking.start()
        try:
            return await until(CLIENTS, turns=CLIENTS // 4)
        finally:
            taking.stop()
            taking.stop()
            for client in clients:
                client.close()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(work())
    assert opened.fileno() < 0


def test_without_free_descriptors_it_tries_again(opened, monkeypatch):
    monkeypatch.setattr(accepting, "_RETRY_S", 0.05)
    poor = Refusing(opened)

    async def work():
        taking = Accepting(poor, Counted)
        taking.start()
        client = socket.create_connection(opened.getsockname())
        deadline = time.monotonic() + LIMIT_S
        while not Counted.made and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        taking.stop()
        client.close()

    asyncio.run(work())
    assert (poor.refused, Counted.made) == (1, 1)


def test_a_stop_while_it_waits_for_descriptors_is_the_end(opened):
    async def work():
        taking = Accepting(Refusing(opened), Counted)
        taking.start()
        client = socket.create_connection(opened.getsockname())
        await asyncio.sleep(0.05)
        taking.stop()
        client.close()

    asyncio.run(work())
    assert opened.fileno() < 0
