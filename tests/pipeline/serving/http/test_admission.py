"""A service without room says so before it reads a body, on every path that means work and on no other."""

import asyncio

import pytest
from fastapi.testclient import TestClient

from pipeline.serving.http.admission import Admission
from pipeline.serving.limits.limiter import Limiter
from schemas.http import ErrorBody


async def reached(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def full():
    limiter = Limiter(250, least=1, most=1)
    with limiter.admitted():
        yield limiter


WORK = [
    ("POST", "/v1/search"),
    ("POST", "/v1/search:batch"),
    ("GET", "/v1/similar/c1"),
    ("GET", "/v1/clips/c1"),
]


@pytest.mark.parametrize(("method", "path"), WORK)
def test_a_full_service_refuses_work(full, method, path):
    answer = TestClient(Admission(reached, full)).request(method, path)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert ErrorBody.model_validate_json(answer.content).error.code == "overloaded"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/index"), ("GET", "/healthz"), ("GET", "/readyz"), ("POST", "/admin/v1/index"), ("GET", "/")],
)
def test_a_full_service_still_tells_of_itself(full, method, path):
    assert TestClient(Admission(reached, full)).request(method, path).status_code == 204


@pytest.mark.parametrize(("method", "path"), WORK)
def test_a_service_with_room_lets_all_pass(method, path):
    assert TestClient(Admission(reached, Limiter(250, 1, 1))).request(method, path).status_code == 204


def test_a_refusal_reads_no_body(full):
    async def ask():
        sent = []

        async def receive():
            raise AssertionError("the body was read")

        async def send(message):
            sent.append(message)

        await Admission(reached, full)({"type": "http", "path": "/v1/search", "method": "POST"}, receive, send)
        return sent[0]["status"]

    assert asyncio.run(ask()) == 429
