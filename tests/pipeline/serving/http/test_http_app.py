"""Every answer of the HTTP interface has the body that it promises, whatever is sent."""

import asyncio
import json

import pytest
from fastapi.testclient import TestClient

from pipeline.serving.errors import FailureError, failure
from pipeline.serving.http.envelope import MAX_BODY_BYTES, Envelope
from pipeline.serving.http.http_app import build_app
from schemas.errors import IndexCorruptError, IndexMissingError, UsageError, VectorStoreError
from schemas.filters import parse_filter
from schemas.http import BatchResult, ClipInfo, ErrorBody, Health, IndexInfo, SearchRequest, SimilarResult
from schemas.results import SearchHit, SearchResult

HIT = SearchHit(
    rank=1, clip_id="c1", video_id="v1", uri="a.mp4", start_s=0.0, end_s=2.0, best_s=1.5, score=0.5, coarse_score=0.4,
    stage="fine",
)  # fmt: skip


class FakeBackend:
    def __init__(self, error=None, trouble=None):
        self.error = error
        self._trouble = trouble
        self.asked = []

    async def search(self, request: SearchRequest) -> SearchResult:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return SearchResult(
            query=request.query, version=3, recall="both", hits=[HIT], timings_ms={"total": 1.0}, degraded=[]
        )

    async def index(self) -> IndexInfo:
        return IndexInfo(version=3, revision=2, clips=7, frame_rows=80, model_id="m", codec="fp16", collection="c")

    async def trouble(self):
        return self._trouble


def client_of(backend):
    return TestClient(Envelope(build_app(backend)), raise_server_exceptions=False)


@pytest.fixture
def client():
    return client_of(FakeBackend())


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    return ErrorBody.model_validate_json(answer.content).error


def test_a_search_answers_a_search_result(client):
    answer = client.post("/v1/search", json={"query": "  a red star ", "k": 3})
    assert answer.status_code == 200
    result = SearchResult.model_validate_json(answer.content)
    assert (result.query, result.version, result.hits) == ("a red star", 3, [HIT])


def test_k_and_recall_k_have_the_defaults_of_the_command_line():
    backend = FakeBackend()
    client_of(backend).post("/v1/search", json={"query": "a"})
    assert (backend.asked[0].k, backend.asked[0].recall_k, backend.asked[0].recall) == (10, 50, None)


def test_a_filter_comes_as_a_tree():
    backend = FakeBackend()
    raw = {"and": [{"field": "width", "op": ">=", "value": 1280}, {"not": {"field": "year", "op": "exists"}}]}
    assert client_of(backend).post("/v1/search", json={"query": "a", "filter": raw}).status_code == 200
    assert backend.asked[0].filter == parse_filter(json.dumps(raw))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"k": 3}', "query"),
        ('{"query": ""}', "query"),
        ('{"query": " \\n\\t "}', "query"),
        ('{"query": "\\u001c"}', "query"),
        ('{"query": 7}', "query"),
        ('{"query": null}', "query"),
        ('{"query": NaN}', "query"),
        ('{"query": "\\ud800"}', "query"),
        (json.dumps({"query": "a" * 2001}), "query"),
        ('{"query": "a", "k": 0}', "k"),
        ('{"query": "a", "k": 1001}', "k"),
        ('{"query": "a", "k": 1.5}', "k"),
        ('{"query": "a", "k": NaN}', "k"),
        ('{"query": "a", "k": 1e999}', "k"),
        ('{"query": "a", "k": "many"}', "k"),
        ('{"query": "a", "recall_k": -1}', "recall_k"),
        ('{"query": "a", "recall_k": [1]}', "recall_k"),
        ('{"query": "a", "recall": "all"}', "recall"),
        ('{"query": "a", "recall": 1}', "recall"),
        ('{"query": "a", "limit": 3}', "limit"),
        ('{"query": "a", "filter": 7}', "filter"),
        ('{"query": "a", "filter": {}}', "filter.field"),
        ('{"query": "a", "filter": {"and": []}}', "filter.and"),
        ('{"query": "a", "filter": {"or": [{"field": "x", "op": "~", "value": 1}]}}', "filter.or.0.op"),
        ('{"query": "a", "filter": {"not": {"field": "x", "op": "==", "value": [{}]}}}', "filter.not"),
        ('{"query": "a", "filter": {"field": "x", "op": "==", "value": 1, "sql": 1}}', "filter.sql"),
        ('{"query": "a", "filter": ' + '{"not": ' * 900 + "1" + "}" * 901, "filter"),
        ('["a"]', "body"),
        ('"a"', "body"),
        ("null", "body"),
        ("", "body"),
        ('{"query": "a"', "body"),
        ("{'query': 'a'}", "body"),
        (b"\xff\xfe{", "body"),
        ('{"query": "a", "k": ' + "9" * 5000 + "}", "body"),
        ("[" * 30000, "body"),
    ],
)
def test_a_wrong_body_is_422_and_names_the_field(client, body, field):
    error = error_of(client.post("/v1/search", content=body, headers={"content-type": "application/json"}), 422)
    assert (error.code, error.field) == ("invalid_request", field)
    assert "\n" not in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_another_content_type_is_422_and_says_what_to_send(client, kind):
    error = error_of(client.post("/v1/search", content='{"query": "a"}', headers={"content-type": kind}), 422)
    assert error.field == "body"
    assert "Content-Type: application/json" in error.message


def test_a_charset_beside_the_content_type_is_fine(client):
    headers = {"content-type": "application/json; charset=utf-8"}
    assert client.post("/v1/search", content='{"query": "a"}', headers=headers).status_code == 200


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_over_the_limit_is_413_and_never_parsed(streamed):
    backend = FakeBackend()
    body = json.dumps({"query": "a" * MAX_BODY_BYTES}).encode()
    content = iter([body[:100], body[100:]]) if streamed else body
    headers = {"content-type": "application/json"}
    error = error_of(client_of(backend).post("/v1/search", content=content, headers=headers), 413)
    assert (error.code, error.field) == ("body_too_large", "body")
    assert backend.asked == []


def test_a_body_that_is_declared_far_over_the_limit_is_413_before_it_comes():
    sent = []

    async def send(message):
        sent.append(message)

    async def ask():
        scope = {"type": "http", "path": "/v1/search", "headers": [(b"content-length", b"99999999999")]}
        await asyncio.wait_for(Envelope(None)(scope, asyncio.Event().wait, send), 10)

    asyncio.run(ask())
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"connection"]) == (413, b"close")


def test_a_body_that_does_not_come_is_408_and_the_connection_ends(monkeypatch):
    monkeypatch.setattr("pipeline.serving.http.envelope._BODY_WAIT_S", 0.05)
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": "/v1/search", "headers": [(b"content-length", b"99999")]}
    asyncio.run(Envelope(None)(scope, asyncio.Event().wait, send))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert json.loads(sent[1]["body"])["error"]["code"] == "body_timeout"


def test_a_body_of_exactly_the_limit_is_read(client):
    body = b'{"query": "a"}'.ljust(MAX_BODY_BYTES)
    assert client.post("/v1/search", content=body, headers={"content-type": "application/json"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/search/", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/v1/search", 405, "method_not_allowed"),
        ("DELETE", "/v1/index", 405, "method_not_allowed"),
    ],
)
def test_unknown_paths_and_methods_answer_an_error_body(client, method, path, status, code):
    answer = client.request(method, path)
    assert error_of(answer, status).code == code
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (IndexMissingError("nothing is published: run 'reelsift index publish'"), 503, "index_empty"),
        (VectorStoreError("Milvus does not answer"), 503, "milvus_unavailable"),
        (IndexCorruptError("shard 1 row 2"), 500, "index_corrupt"),
        (UsageError("Milvus Lite needs a local directory"), 503, "misconfigured"),
        (TimeoutError(), 504, "timeout"),
        (FailureError(failure(429, "overloaded", "too many")), 429, "overloaded"),
        (asyncio.InvalidStateError("secret detail"), 500, "internal"),
        (ValueError("secret detail"), 500, "internal"),
    ],
)
def test_a_failing_search_answers_an_error_body(error, status, code):
    answer = client_of(FakeBackend(error=error)).post("/v1/search", json={"query": "a"})
    detail = error_of(answer, status)
    assert detail.code == code
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) == (status in {429, 503})


def test_an_internal_error_names_the_request_id_to_look_for():
    client = client_of(FakeBackend(error=KeyError("x")))
    answer = client.post("/v1/search", json={"query": "a"}, headers={"X-Request-Id": "req-7"})
    assert "req-7" in error_of(answer, 500).message


def test_an_error_from_another_process_loses_its_traceback():
    class RemoteError(Exception):
        """As Ray hands it over: the text is a traceback, the original is in `cause`."""

        def __init__(self, cause):
            super().__init__("Traceback (most recent call last): ...")
            self.cause = cause

    error = RemoteError(IndexMissingError("version 4 is gone"))
    answer = client_of(FakeBackend(error=error)).post("/v1/search", json={"query": "a"})
    detail = error_of(answer, 503)
    assert (detail.code, detail.message) == ("index_empty", "version 4 is gone")


def test_a_sane_request_id_is_echoed_and_any_other_replaced(client):
    assert client.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers.get_list("x-request-id") == ["abc-1"]
    for bad in ("two words", "x" * 129, ""):
        made = client.get("/healthz", headers={"X-Request-Id": bad}).headers["x-request-id"]
        assert made not in {bad, ""}


def test_health_readiness_and_index_have_their_bodies():
    ready = client_of(FakeBackend())
    assert Health.model_validate_json(ready.get("/healthz").content).status == "ok"
    assert Health.model_validate_json(ready.get("/readyz").content) == Health(status="ready")
    assert IndexInfo.model_validate_json(ready.get("/v1/index").content).clips == 7
    away = client_of(FakeBackend(trouble=failure(503, "index_empty", "nothing is published"))).get("/readyz")
    assert away.status_code == 503
    assert Health.model_validate_json(away.content).reason == "index_empty: nothing is published"


def test_openapi_describes_each_error_answer(client):
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/search", "/v1/search:batch", "/v1/similar/{clip_id}", "/v1/clips/{clip_id}", "/v1/index",
        "/admin/v1/index", "/healthz", "/readyz",
    }  # fmt: skip
    responses = document["paths"]["/v1/search"]["post"]["responses"]
    assert set(responses) == {"200", "413", "422", "429", "500", "503", "504"}
    for status, response in responses.items():
        schema = response["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
        assert schema == ("SearchResult" if status == "200" else "ErrorBody")
    assert "HTTPValidationError" not in document["components"]["schemas"]
    request = document["paths"]["/v1/search"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert request["$ref"].endswith("/SearchRequest")


def test_openapi_has_a_valid_example_of_each_answer_and_each_body(client):
    document = client.get("/openapi.json").json()
    models = {
        model.__name__: model for model in (SearchResult, BatchResult, SimilarResult, ClipInfo, IndexInfo, ErrorBody)
    }
    seen = set()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if "/v1/" not in path:
                continue
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if body:
                assert document["components"]["schemas"][body["$ref"].rsplit("/", 1)[-1]]["examples"]
            for answer in operation["responses"].values():
                content = answer["content"]["application/json"]
                name = content["schema"]["$ref"].rsplit("/", 1)[-1]
                models[name].model_validate(content["example"])
                seen.add(name)
    assert seen == set(models)
