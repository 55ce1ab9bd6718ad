"""An ingress replica listens by itself: several share a port, and one that ends answers what it has begun."""

import asyncio
import socket

import httpx
import pytest

from pipeline.serving.http.listener import Listener, shared_socket
from tests.servers.process import free_ports


async def slow(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            await send({"type": f"{(await receive())['type']}.complete"})
    await asyncio.sleep(0.3)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})


async def broken(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no"})


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


def test_a_request_under_way_is_answered_although_the_listener_ends():
    [port] = free_ports(1)

    async def work():
        begun = asyncio.Event()

        async def watched(scope, receive, send):
            if scope["type"] == "http":
                begun.set()
            await slow(scope, receive, send)

        listener = Listener(watched, "127.0.0.1", port, grace_s=10)
        await listener.start()
        listener.check()
        async with httpx.AsyncClient() as client:
            asked = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/"))
            await begun.wait()
            await listener.stop()
            with pytest.raises(RuntimeError, match="ended"):
                listener.check()
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://127.0.0.1:{port}/")
            return (await asked).text

    assert run(work()) == "done"


def test_two_share_a_port_and_the_other_serves_on_when_one_ends():
    [port] = free_ports(1)

    async def work():
        listeners = [Listener(slow, "127.0.0.1", port, grace_s=10) for _ in range(2)]
        for listener in listeners:
            await listener.start()
        await listeners[0].stop()
        async with httpx.AsyncClient() as client:
            texts = [(await client.get(f"http://127.0.0.1:{port}/")).text for _ in range(3)]
        await listeners[1].stop()
        return texts

    assert run(work()) == ["done"] * 3


async def sent_raw(port, *pieces):
    """What comes back on a connection, to its end, when these bytes are sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        return await reader.read()
    except ConnectionResetError:
        return b"reset"
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        ([b"GET / HTTP/1.1\r\nhost: a\r\nx-half"], b"HTTP/1.1 408 "),
        ([b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"], b"HTTP/1.1 200 "),
        ([b"GET / HTTP/1.1\r\nhost: a\r\n", b"connection: close\r\n\r\n"], b"HTTP/1.1 200 "),
        ([b"GET / HTTP/1.1\r\nhost: a\r\nx: ", *[b"a" * (20 << 10)] * 4], b"HTTP/1.1 431 "),
    ],
)
def test_a_head_must_be_whole_in_time_and_size(monkeypatch, pieces, answer):
    monkeypatch.setattr("pipeline.serving.http.head_limits.HEAD_WAIT_S", 0.5)
    assert exchange(pieces).startswith(answer)


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(monkeypatch):
    monkeypatch.setattr("pipeline.serving.http.head_limits.HEAD_WAIT_S", 0.2)
    assert exchange([]) == b""


def test_the_second_head_of_a_connection_must_be_whole_in_time_too(monkeypatch):
    monkeypatch.setattr("pipeline.serving.http.head_limits.HEAD_WAIT_S", 0.5)
    answers = exchange([b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"GET / HTTP/1.1\r\nhost"])
    assert answers.count(b"HTTP/1.1 200 ") == 1
    assert answers.count(b"HTTP/1.1 408 ") == 1


def test_a_body_may_be_larger_than_a_head_and_the_next_head_has_its_own_time(monkeypatch):
    monkeypatch.setattr("pipeline.serving.http.head_limits.HEAD_WAIT_S", 0.5)
    post = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n" + b"b" * 100_000
    answers = exchange([post, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"])
    assert answers.count(b"HTTP/1.1 200 ") == 2


def exchange(pieces):
    [port] = free_ports(1)

    async def work():
        listener = Listener(slow, "127.0.0.1", port, grace_s=10)
        await listener.start()
        try:
            return await sent_raw(port, *pieces)
        finally:
            await listener.stop()

    return run(work())


def test_a_port_of_somebody_else_is_not_shared():
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="in use"):
        shared_socket("127.0.0.1", other.getsockname()[1])


def test_an_application_that_does_not_start_is_an_error_and_frees_the_port():
    [port] = free_ports(1)

    async def work():
        with pytest.raises(RuntimeError, match="does not start"):
            await Listener(broken, "127.0.0.1", port, grace_s=1).start()
        shared_socket("127.0.0.1", port).close()

    run(work())
