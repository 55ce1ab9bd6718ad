"""Who may ask is let in and nobody else, and browsers are told what an answer may not be used for."""

import pytest
from fastapi.testclient import TestClient

from pipeline.serving.front import Front
from pipeline.serving.http.guard import MAX_URL_BYTES
from schemas.config import ServeConfig
from schemas.http import ErrorBody
from tests.pipeline.serving.fake_backend import FakeBackend

KEY, ADMIN = "k" * 30, "a" * 30
SEARCH = {"query": "a"}


def client_of(monkeypatch=None, base_url="http://127.0.0.1:8000", backend=None, **settings):
    if monkeypatch is not None:
        monkeypatch.setenv("KEYS", KEY)
        monkeypatch.setenv("ADMIN", ADMIN)
    app = Front.of(ServeConfig(index="i", **settings)).app(backend or FakeBackend())
    return TestClient(app, base_url=base_url, raise_server_exceptions=False)


@pytest.fixture
def keyed(monkeypatch):
    return client_of(monkeypatch, "http://search.example", host="0.0.0.0", api_keys="env:KEYS", admin_keys="env:ADMIN")


def bearer(key):
    return {"authorization": f"Bearer {key}"}


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"]
    return ErrorBody.model_validate_json(answer.content).error


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[("POST", path) for path in ("/v1/search", "/v1/search:batch", "/admin/v1/index", "/healthz/")],
        *[("GET", path) for path in ("/v1/index", "/v1/clips/c1", "/metrics", "/openapi.json", "/nothing", "/mediax")],
    ],
)
def test_with_keys_nothing_is_answered_without_one(keyed, method, path):
    answer = keyed.request(method, path, json=SEARCH)
    assert error_of(answer, 401).code == "unauthorized"
    assert answer.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    "wrong", ["Bearer " + "x" * 30, f"Basic {KEY}", KEY, "Bearer", f"Bearer {KEY}{KEY}", "Bearer ä"]
)
def test_a_wrong_key_is_no_key_and_is_not_repeated(keyed, wrong):
    answer = keyed.post("/v1/search", json=SEARCH, headers={"authorization": wrong.encode("latin-1")})
    assert error_of(answer, 401).code == "unauthorized"
    assert KEY not in answer.text
    assert "x" * 30 not in answer.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_open(keyed, path):
    assert keyed.get(path).status_code == 200


def test_a_key_opens_searches_and_an_admin_key_all(keyed):
    assert keyed.post("/v1/search", json=SEARCH, headers=bearer(KEY)).status_code == 200
    assert keyed.post("/v1/search", json=SEARCH, headers={"authorization": f"bearer  {KEY}"}).status_code == 200
    assert keyed.post("/v1/search", json=SEARCH, headers=bearer(ADMIN)).status_code == 200
    assert keyed.post("/admin/v1/index", json={}, headers=bearer(ADMIN)).status_code == 200
    assert error_of(keyed.post("/admin/v1/index", json={}, headers=bearer(KEY)), 403).code == "forbidden"


def test_without_admin_keys_nobody_administers_a_service_with_keys(monkeypatch):
    client = client_of(monkeypatch, api_keys="env:KEYS")
    assert "--admin-keys" in error_of(client.post("/admin/v1/index", json={}, headers=bearer(KEY)), 403).message
    assert error_of(client.post("/admin/v1/index", json={}), 401).code == "unauthorized"


def test_an_open_service_searches_for_all_and_is_administered_by_none():
    client = client_of(base_url="http://search.example", host="0.0.0.0", no_auth=True)
    assert client.post("/v1/search", json=SEARCH).status_code == 200
    assert error_of(client.post("/admin/v1/index", json={}), 403).code == "forbidden"


def test_an_open_service_with_admin_keys_asks_for_one(monkeypatch):
    client = client_of(monkeypatch, host="0.0.0.0", no_auth=True, admin_keys="env:ADMIN")
    assert error_of(client.post("/admin/v1/index", json={}), 401).code == "unauthorized"
    assert error_of(client.post("/admin/v1/index", json={}, headers=bearer(KEY)), 401).code == "unauthorized"
    assert client.post("/admin/v1/index", json={}, headers=bearer(ADMIN)).status_code == 200


@pytest.mark.parametrize("name", ["127.0.0.1:8000", "localhost", "a.localhost:80", "[::1]:8000"])
def test_without_keys_this_machine_does_everything(name):
    client = client_of()
    assert client.post("/v1/search", json=SEARCH, headers={"host": name}).status_code == 200
    assert client.post("/admin/v1/index", json={}, headers={"host": name}).status_code == 200


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:8000", "192.0.2.1", "localhost.evil.example", "0.0.0.0"]
)
def test_without_keys_a_page_that_calls_itself_otherwise_gets_nothing(name):
    client = client_of()
    for path in ("/v1/index", "/", "/media/c1", "/healthz"):
        assert error_of(client.get(path, headers={"host": name}), 403).code == "forbidden"


def test_a_long_address_is_414(keyed):
    answer = keyed.get("/v1/clips/c1?x=" + "y" * MAX_URL_BYTES, headers=bearer(KEY))
    assert error_of(answer, 414).code == "uri_too_long"


@pytest.mark.parametrize("path", ["/v1/index", "/nothing", "/healthz"])
def test_every_answer_has_the_headers_that_keep_browsers_in(path):
    headers = client_of().get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]


def test_a_failure_has_them_too_and_a_body_of_ours():
    client = client_of(backend=FakeBackend(error=KeyError("secret")))
    answer = client.post("/v1/search", json=SEARCH)
    assert error_of(answer, 500).code == "internal"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_other_origins_are_answered_only_by_choice():
    asking = {"origin": "https://videos.example", "access-control-request-method": "POST"}
    asking["access-control-request-headers"] = "authorization, content-type"
    closed, opened = client_of(), client_of(cors_origin=["https://videos.example"])
    assert "access-control-allow-origin" not in closed.options("/v1/search", headers=asking).headers
    assert opened.options("/v1/search", headers=asking).headers["access-control-allow-origin"] == asking["origin"]
    other = opened.post("/v1/search", json=SEARCH, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-credentials" not in other.headers


def test_a_layer_inside_is_behind_the_keys(monkeypatch):
    monkeypatch.setenv("KEYS", KEY)

    async def teapot(scope, receive, send):
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    front = Front.of(ServeConfig(index="i", api_keys="env:KEYS"))
    client = TestClient(front.app(FakeBackend(), inside=lambda app: teapot), raise_server_exceptions=False)
    assert client.get("/v1/index").status_code == 401
    assert client.get("/v1/index", headers=bearer(KEY)).status_code == 418
