"""Whatever is sent, the interface answers as it describes itself: by its own description, and by the worst we know."""

import json
import os
from unittest.mock import patch

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pipeline.serving.front import Front
from pipeline.serving.replicas.media import Media
from schemas.config import ServeConfig
from schemas.http import ErrorBody
from tests.pipeline.serving.fake_backend import FakeBackend

KEY = {"authorization": "Bearer " + "a" * 30}
with patch.dict(os.environ, KEYS="a" * 30):
    SETTINGS = ServeConfig(index="i", api_keys="env:KEYS", admin_keys="env:KEYS", request_log="/dev/null")
    APP = Front.of(SETTINGS).app(FakeBackend(), Media())
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP, headers=KEY)


@SCHEMA.parametrize()
@settings(
    max_examples=6, phases=[Phase.generate], deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)  # fmt: skip
def test_what_the_description_allows_and_what_it_forbids_is_answered_as_described(case):
    answer = case.call(headers=KEY)
    case.validate_response(
        answer,
        checks=[
            checks.not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )
    assert "Traceback" not in answer.text


@pytest.fixture(scope="module")
def client():
    return TestClient(APP, headers=KEY, raise_server_exceptions=False)


JSON = {"content-type": "application/json"}
QUERIES = [
    *("", " ", "\x00", "\ufeff", "\u202e abc", "a\u0301" * 900, "日本語", "🎬" * 2000, "🎬" * 2001, "a" * 2001),
    *("'; DROP TABLE clips; --", '" or 1 == 1 or "', "{{7*7}}", "${jndi:ldap://x}", "<script>alert(1)</script>"),
]
VALUES = [None, True, False, 0, -1, 1e308, 2**63, -(2**63), 2**64, "", "1", [], [1], {}, {"a": 1}, "\ud800"]
FILTERS = [
    {"field": "uri", "op": "==", "value": 'x" or clip_id != "'},
    {"field": 'uri" or true or "', "op": "==", "value": "x"},
    {"field": "uri", "op": "prefix", "value": "%_\\'\"\n\x00"},
    {"field": "uri", "op": "like", "value": "%"},
    {"field": "uri", "op": "in", "value": ["a"] * 5000},
    {"field": "width", "op": "<", "value": "NaN"},
    {"and": [{"or": [{"not": {"and": []}}]}]},
    {"and": {"field": "width", "op": "==", "value": 1}},
    {"not": [{"field": "width", "op": "==", "value": 1}]},
    {"and": [{"field": "width", "op": "==", "value": 1}] * 200},
    {"field": "__proto__", "op": "exists"},
    [], "width > 1", 1,
]  # fmt: skip


def answered(answer):
    """The status of an answer, which is one that was meant, whichever it is."""
    assert "Traceback" not in answer.text
    assert "root:" not in answer.text
    if answer.status_code >= 400:
        error = ErrorBody.model_validate_json(answer.content).error
        assert error.code
        assert "\n" not in error.message
        assert len(error.message) < 400
    return answer.status_code


@pytest.mark.parametrize("query", QUERIES)
def test_any_text_is_answered(client, query):
    assert answered(client.post("/v1/search", json={"query": query})) < 500
    assert answered(client.post("/v1/search:batch", json={"queries": ["a", query]})) < 500


@pytest.mark.parametrize(
    "name", ["query", "k", "recall_k", "recall", "rerank", "filter", "deadline_ms", "explain", "x"]
)
def test_any_value_of_any_field_is_answered(client, name):
    for value in VALUES:
        body = json.dumps({"query": "a", name: value})
        assert answered(client.post("/v1/search", content=body, headers=JSON)) < 500
        body = json.dumps({"queries": ["a"], name: value})
        assert answered(client.post("/v1/search:batch", content=body, headers=JSON)) < 500


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "0x10", "1_000", "٣", "9" * 5000])
def test_numbers_that_are_none_are_answered(client, number):
    for name in ("k", "recall_k", "deadline_ms", "query"):
        body = f'{{"query": "a", "{name}": {number}}}'
        assert answered(client.post("/v1/search", content=body, headers=JSON)) < 500
    assert answered(client.get(f"/v1/similar/c1?k={number}")) < 500
    assert answered(client.get(f"/media/c1?expires={number}&signature=x")) < 500


@pytest.mark.parametrize("narrowed", FILTERS)
def test_any_filter_is_answered(client, narrowed):
    assert answered(client.post("/v1/search", json={"query": "a", "filter": narrowed})) < 500


@pytest.mark.parametrize(
    "name",
    [
        *("..", ".", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "..\\..\\etc\\passwd"),
        *(
            "%00",
            "c1%00",
            "c1%0d%0aX-Injected: 1",
            "file:%2f%2f%2fetc%2fpasswd",
            "http:%2f%2f169.254.169.254%2f",
            "c" * 7000,
        ),
        *("%ff%fe", "日本", "c1;rm", "c1?x=" + "y" * 900, "%25%32%65", "'or'1", '"or"1'),
    ],
)
def test_any_name_of_a_clip_is_answered_and_no_file_is_served(client, name):
    for path in ("/v1/clips/", "/v1/similar/", "/media/", "/thumbnails/", "/page/", "/"):
        answer = client.get(path + name + ("" if "?" in name else "?expires=99999999999&signature=AAAA&t=1.000"))
        assert answered(answer) < 500
        assert "x-injected" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "POST", "FOO"])
def test_any_method_on_any_path_is_answered(client, method):
    for path in json.loads(client.get("/openapi.json").text)["paths"]:
        answer = client.request(method, path.replace("{clip_id}", "c1"), content=b"\x00\xff")
        assert answer.status_code < 500
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": b"Bearer \xff\xfe"},
        {"authorization": b"Bearer " + b"a" * 8000},
        {"x-request-id": b"a\xffb"},
        {"range": b"bytes=\xff-"},
        {"content-type": b"application/json; charset=utf-7"},
        {"content-length": b"-1"},
        {"traceparent": b"00-zz-zz-zz"},
        {"accept": b"image/webp", "accept-encoding": b"br;q=9"},
    ],
)
def test_any_header_is_answered(client, headers):
    assert answered(client.post("/v1/search", content=b'{"query": "a"}', headers=headers)) < 500
    assert answered(client.get("/media/c1?expires=99999999999&signature=AAAA", headers=headers)) < 500
