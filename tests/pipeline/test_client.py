"""Both clients give typed answers, wait for a busy service as it asks, and end every trouble in one error."""

import asyncio
import json
import subprocess
import sys

import httpx
import pytest

from pipeline import client as clients
from pipeline import client_calls
from pipeline.client import AsyncClient, Client, ServiceError
from pipeline.serving.front import Front
from schemas.config import ServeConfig
from schemas.filters import parse_filter
from schemas.results import SearchResult
from tests.pipeline.serving.fake_backend import FakeBackend, hit_of

GOOD = SearchResult(query="a", version=3, recall="both", hits=[hit_of("c1")], timings_ms={}, degraded=[])


class Blocking:
    """The asynchronous client, asked from outside of a loop."""

    def __init__(self, url, **more):
        self._made = url, more
        self._transport = None

    def __getattr__(self, name):
        async def ask(*args, **kwargs):
            url, more = self._made
            async with AsyncClient(url, **more) as client:
                client._http._transport = self._transport or client._http._transport
                return await getattr(client, name)(*args, **kwargs)

        return lambda *args, **kwargs: asyncio.run(ask(*args, **kwargs))


@pytest.fixture(params=["sync", "async"])
def connect(request, monkeypatch):
    """A client that is answered by a function."""
    waits = []
    monkeypatch.setattr(clients.time, "sleep", waits.append)

    async def sleep(seconds):
        waits.append(seconds)

    monkeypatch.setattr(clients.asyncio, "sleep", sleep)

    def made(answer, **more):
        transport = httpx.MockTransport(answer)
        if request.param == "async":
            client = Blocking("http://127.0.0.1:1", **more)
            client._transport = transport
        else:
            client = Client("http://127.0.0.1:1", **more)
            client._http._transport = transport
        client.waits = waits
        return client

    return made


def error(status, code="overloaded", **headers):
    body = {"error": {"code": code, "message": "too many", "field": "k"}}
    return httpx.Response(status, json=body, headers={"x-request-id": "req-7", **headers})


def good(**more):
    return httpx.Response(200, json=GOOD.model_dump() | more)


def test_what_is_asked_is_sent_and_what_is_answered_is_typed(connect):
    asked = []

    def answer(request):
        asked.append((request.method, request.url.raw_path.decode(), dict(request.headers), request.content))
        return good()

    client = connect(answer, key="k" * 30)
    narrowed = parse_filter('{"and": [{"field": "width", "op": ">=", "value": 3}]}')
    assert client.search("a", k=5, filter=narrowed, explain=True, recall=None) == GOOD
    method, path, headers, body = asked[0]
    assert (method, path, headers["authorization"]) == ("POST", "/v1/search", f"Bearer {'k' * 30}")
    assert json.loads(body)["filter"] == {"and": [{"field": "width", "op": ">=", "value": 3}]}
    assert set(json.loads(body)) == {"query", "k", "filter", "explain"}


def test_a_busy_service_is_asked_again_after_the_time_that_it_names(connect):
    answers = iter([error(429, **{"retry-after": "2"}), error(503, "restarting"), good()])
    client = connect(lambda request: next(answers))
    assert client.search("a") == GOOD
    assert client.waits[0] == 2.0
    assert 0 < client.waits[1] < 1


def test_a_service_that_stays_busy_ends_in_its_own_words_within_the_time(connect):
    client = connect(lambda request: error(429, **{"retry-after": "20"}), timeout_s=1)
    with pytest.raises(ServiceError, match="too many") as caught:
        client.search("a")
    assert (caught.value.status, caught.value.code, caught.value.field) == (429, "overloaded", "k")
    assert caught.value.request_id == "req-7"
    assert client.waits == []


@pytest.mark.parametrize("status", [401, 403, 404, 409, 413, 422, 500, 504])
def test_what_another_try_cannot_mend_is_not_tried_again(connect, status):
    asked = []

    def answer(request):
        asked.append(request)
        return error(status, "some_code")

    with pytest.raises(ServiceError) as caught:
        connect(answer).index()
    assert (caught.value.status, caught.value.code, len(asked)) == (status, "some_code", 1)


def test_a_connection_that_breaks_is_tried_again_and_then_one_error(connect):
    def away(request):
        raise httpx.ConnectError("refused")

    with pytest.raises(ServiceError, match="does not answer: refused") as caught:
        connect(away, timeout_s=0.05).search("a")
    assert (caught.value.status, caught.value.code) == (None, "unreachable")
    answers = iter([away, lambda _: good()])

    def in_turn(request):
        return next(answers)(request)

    assert connect(in_turn).search("a") == GOOD


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"error": 1}', b"\xff"])
def test_what_is_no_answer_of_ours_is_one_error(connect, body):
    for status in (200, 502):
        answer = httpx.Response(status, content=body)
        with pytest.raises(ServiceError):
            connect(lambda request, answer=answer: answer).search("a")


def test_a_newer_service_may_say_more(connect):
    assert connect(lambda request: good(new_key=1)).search("a") == GOOD


def test_a_request_that_is_no_json_is_one_error(connect):
    with pytest.raises(ServiceError, match="no JSON"):
        connect(lambda request: good()).search("a", k=float("nan"))


def test_every_method_meets_the_real_interface():
    app = Front.of(ServeConfig(index="i")).app(FakeBackend())

    async def ask():
        async with AsyncClient("http://127.0.0.1") as client:
            client._http._transport = httpx.ASGITransport(app)
            assert (await client.search("a", k=2, deadline_ms=50)).degraded == ["fewer_candidates"]
            assert [each.query for each in (await client.batch(["a", "b"], k=1)).results] == ["a", "b"]
            assert (await client.similar("c1", k=2)).clip_id == "c1"
            assert (await client.clip("c2")).clip_id == "c2"
            assert (await client.index()).version == (await client.adopt(3)).version == 3
            with pytest.raises(ServiceError) as caught:
                await client.clip("../x y")
            assert caught.value.status == 404

    asyncio.run(ask())


def test_it_needs_neither_torch_nor_ray():
    code = "import sys, pipeline.client; print(sorted({'torch', 'ray', 'pymilvus', 'av'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_waits_grow_and_stay_bounded():
    call = client_calls.Call("GET", "/", None, None, timeout_s=1e6)
    waits = [call.wait_after(error(503)) for _ in range(10)]
    assert waits == sorted(waits)
    assert waits[-1] == 5.0
