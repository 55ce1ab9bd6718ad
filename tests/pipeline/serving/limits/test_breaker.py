"""A Milvus that is gone costs a search no time, and one that is back is asked again as soon as a search of it works."""

import asyncio
from types import SimpleNamespace

import pytest

from pipeline.serving.errors import FailureError
from pipeline.serving.limits.breaker import Breaker
from pipeline.serving.limits.milvus_watch import MilvusWatch


def run(work):
    return asyncio.run(asyncio.wait_for(work, 30))


async def answered():
    return "answer"


def test_a_closed_one_passes_answers_and_errors_on():
    async def fails():
        raise KeyError("x")

    async def work():
        breaker = Breaker()
        with pytest.raises(KeyError):
            await breaker.guard(fails())
        return await breaker.guard(answered())

    assert run(work()) == "answer"


def test_an_open_one_answers_without_asking():
    async def work():
        breaker = Breaker()
        breaker.open("Milvus is away")
        with pytest.raises(FailureError, match="Milvus is away") as caught:
            await breaker.guard(answered())
        assert caught.value.failure.status == 503
        assert breaker.trouble.detail.code == "milvus_unavailable"
        breaker.close()
        assert breaker.trouble is None
        return await breaker.guard(answered())

    assert run(work()) == "answer"


def test_who_waits_already_is_told_when_it_opens_and_what_was_asked_ends():
    async def work():
        breaker, ended = Breaker(), asyncio.Event()

        async def stuck():
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()

        waiting = [asyncio.create_task(breaker.guard(stuck())) for _ in range(3)]
        await asyncio.sleep(0)
        breaker.open("gone")
        results = await asyncio.gather(*waiting, return_exceptions=True)
        await ended.wait()
        return results

    assert {type(result) for result in run(work())} == {FailureError}


def test_it_opens_after_failures_without_a_success_between():
    async def work():
        breaker = Breaker()
        for _ in range(10):
            breaker.failed("no")
            breaker.failed("no")
            breaker.succeeded()
        assert not breaker.is_open
        for _ in range(3):
            breaker.failed("no")
        return breaker.is_open

    assert run(work())


class World:
    """A Milvus at a port of its own, and whether searches of it work."""

    def __init__(self, uri):
        self.breaker = Breaker()
        self.works = True
        self.checks = 0
        self.watch = MilvusWatch(self.breaker, lambda: SimpleNamespace(milvus=uri), self._check)

    async def _check(self, manifest):
        self.checks += 1
        if not self.works:
            raise RuntimeError("collection is being loaded")


def test_a_server_that_ends_opens_it_and_it_closes_when_searches_work_not_when_the_port_opens():
    async def work():
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        world = World(f"http://127.0.0.1:{port}")
        seen = []

        async def look():
            await world.watch.look()
            seen.append(world.breaker.is_open)

        await look()
        server.close()
        await server.wait_closed()
        await look()
        world.works = False
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
        await look()
        world.works = True
        await look()
        server.close()
        return seen, world.checks

    assert run(work()) == ([False, True, True, False], 2)


def test_milvus_lite_is_asked_only_when_something_was_wrong():
    async def work():
        world = World("lite")
        await world.watch.look()
        assert world.checks == 0
        world.breaker.open("it failed three times")
        await world.watch.look()
        return world.checks, world.breaker.is_open

    assert run(work()) == (1, False)
