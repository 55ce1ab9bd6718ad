"""Each request is counted, logged and traced as what it was, and nothing secret is told."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.serving.front import Front
from pipeline.serving.http.admission import Admission
from pipeline.serving.limits.limiter import Limiter
from pipeline.serving.replicas.media import Still
from pipeline.serving.replicas.media_files import MediaFile
from pipeline.serving.telemetry.metrics import Metrics
from pipeline.serving.telemetry.observed_backend import ObservedBackend
from pipeline.serving.telemetry.request_notes import begin_notes, current_notes
from schemas.config import ServeConfig
from schemas.errors import VectorStoreError
from schemas.http import SearchRequest
from tests.pipeline.serving.fake_backend import FakeBackend

SEARCH = {"query": "a red star", "k": 2}


class FakeMedia:
    async def stat(self, uri):
        return MediaFile(4, '"e"', "video/mp4")

    async def read(self, uri, start, count):
        return b"abcd"[start : start + count]

    async def still(self, uri, time_s):
        return Still(b"jpeg", cached=True)


def client_of(backend=None, **settings):
    app = Front.of(ServeConfig(index="i", **settings)).app(backend or FakeBackend(), FakeMedia())
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def samples(client):
    """Every figure, by name and labels."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def test_requests_are_counted_by_template_and_status():
    client = client_of()
    for clip_id in ("c1", "c2", "c9"):
        client.get(f"/v1/clips/{clip_id}")
    client.get("/wp-login.php")
    client.post("/v1/search", json=SEARCH)
    figures = samples(client)
    name = "reelsift_http_requests_total"
    assert figures[name, "/v1/clips/{clip_id}", "200", "GET"] == 2
    assert figures[name, "/v1/clips/{clip_id}", "404", "GET"] == 1
    assert figures[name, "404", "GET", "other"] == 1
    assert figures["reelsift_http_request_duration_seconds_count", "/v1/search"] == 1
    assert figures["reelsift_http_requests_in_flight",] == 1  # the one that asks


def test_refused_work_is_counted_under_its_path():
    limiter = Limiter(250, least=1, most=1)
    app = Front.of(ServeConfig(index="i")).app(FakeBackend(), inside=lambda paths: Admission(paths, limiter))
    client = TestClient(app, base_url="http://127.0.0.1")
    with limiter.admitted():
        assert [client.get("/v1/clips/c1").status_code, client.post("/v1/search").status_code] == [429, 429]
    figures = samples(client)
    assert ("reelsift_http_request_duration_seconds_count", "/v1/search") not in figures
    name = "reelsift_http_requests_total"
    assert figures[name, "/v1/clips/{clip_id}", "429", "GET"] == 1
    assert figures[name, "/v1/search", "429", "POST"] == 1


def test_what_strangers_make_up_adds_no_figures():
    client = client_of()
    client.request("VERB", "/nothing")
    client.get("/nothing")
    samples(client)
    before = set(samples(client))
    for made_up in range(5):
        client.request(f"VERB{made_up}", f"/nothing/{made_up}")
        client.get(f"/v1/nothing/{made_up}?a={made_up}")
    assert set(samples(client)) == before


def test_stages_are_counted_in_seconds_and_what_was_left_out_by_step():
    client = client_of()
    client.post("/v1/search", json=SEARCH)
    client.post("/v1/search", json=SEARCH | {"deadline_ms": 5})
    client.post("/v1/search:batch", json={"queries": ["a", "b", "c"]})
    figures = samples(client)
    assert figures["reelsift_search_stage_duration_seconds_sum", "recall"] == pytest.approx(2 * 0.003)
    assert figures["reelsift_search_stage_duration_seconds_count", "encode"] == 2
    assert figures["reelsift_search_degradations_total", "fewer_candidates"] == 1
    assert figures["reelsift_search_batch_queries_sum",] == 3


def test_the_version_that_is_served_is_told():
    figures = samples(client_of())
    assert figures["reelsift_index_info", "2", "3", "fp16", "m"] == 1
    assert (figures["reelsift_index_clips",], figures["reelsift_index_frame_vectors",]) == (7, 80)
    assert figures["reelsift_ready",] == 1


def test_media_are_counted():
    client = client_of()
    hit = client.post("/v1/search", json=SEARCH).json()["hits"][0]
    assert client.get(hit["media_url"], headers={"range": "bytes=1-2"}).content == b"bc"
    assert client.get(hit["thumbnail_url"]).content == b"jpeg"
    figures = samples(client)
    assert figures["reelsift_media_bytes_total",] == 2
    assert figures["reelsift_thumbnails_total", "hit"] == 1


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_request_has_one_line_with_its_id_and_no_text(tmp_path):
    client = client_of(request_log=str(tmp_path / "log"))
    client.post("/v1/search", json=SEARCH, headers={"x-request-id": "req-7"})
    client.get("/nothing?token=secret")
    first, second = lines_of(tmp_path / "log")
    assert (first["request_id"], first["path"], first["status"]) == ("req-7", "/v1/search", 200)
    assert (first["version"], first["hits"], first["timings_ms"]["recall"]) == (3, 2, 3.0)
    assert (second["path"], second["status"]) == ("other", 404)
    assert len(second["request_id"]) == 32
    text = (tmp_path / "log").read_text()
    assert "red star" not in text
    assert "secret" not in text


def test_texts_are_logged_where_that_is_asked_for(tmp_path):
    client = client_of(request_log=str(tmp_path / "log"), log_queries=True)
    client.post("/v1/search", json=SEARCH)
    client.post("/v1/search:batch", json={"queries": ["日本", "b"]})
    assert [line["queries"] for line in lines_of(tmp_path / "log")] == [["a red star"], ["日本", "b"]]


def test_keys_and_signatures_stay_out_of_the_log(tmp_path, monkeypatch):
    monkeypatch.setenv("KEYS", "k" * 30)
    client = client_of(request_log=str(tmp_path / "log"), api_keys="env:KEYS", log_queries=True)
    hit = client.post("/v1/search", json=SEARCH, headers={"authorization": f"Bearer {'k' * 30}"}).json()["hits"][0]
    client.get(hit["media_url"])
    client.post("/v1/search", json=SEARCH, headers={"authorization": "Bearer wrong-but-secret"})
    text = (tmp_path / "log").read_text()
    assert [line["status"] for line in lines_of(tmp_path / "log")] == [200, 200, 401]
    for secret in ("kkkk", "wrong-but-secret", "signature", hit["media_url"].rsplit("=")[-1]):
        assert secret not in text


def test_a_failure_is_counted_and_logged_too(tmp_path):
    client = client_of(FakeBackend(error=VectorStoreError("away")), request_log=str(tmp_path / "log"))
    client.post("/v1/search", json=SEARCH)
    assert lines_of(tmp_path / "log")[0]["status"] == 503
    assert samples(client)["reelsift_http_requests_total", "/v1/search", "503", "POST"] == 1


@pytest.fixture
def collector():
    """An OTLP collector: `.url`, and `.spans`, which are complete once the client that sent them is closed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            request = ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                server.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.spans = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_a_request_is_a_span_of_the_callers_trace_and_its_stages_are_below_it(collector, tmp_path):
    trace_id, parent_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with client_of(traces=collector.url, request_log=str(tmp_path / "log")) as client:
        client.post("/v1/search", json=SEARCH, headers={"traceparent": f"00-{trace_id}-{parent_id}-01"})
    spans = {span.name: span for span in collector.spans}
    request = spans["POST /v1/search"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (trace_id, parent_id)
    stages = [spans[name] for name in ("encode", "recall", "read", "score")]
    assert {span.parent_span_id for span in stages} == {request.span_id}
    assert [span.end_time_unix_nano - span.start_time_unix_nano for span in stages] == [
        2_000_000,
        3_000_000,
        500_000,
        1_500_000,
    ]
    assert all(one.end_time_unix_nano == two.start_time_unix_nano for one, two in pairwise(stages))
    assert lines_of(tmp_path / "log")[0]["trace_id"] == trace_id


def test_searches_taken_together_are_counted_where_a_part_tells():
    class Batching(FakeBackend):
        async def search(self, request):
            current_notes().together = {"encoder": 4, "recall": 2}
            return await super().search(request)

    metrics = Metrics()
    begin_notes()
    asyncio.run(ObservedBackend(Batching(), metrics).search(SearchRequest(query="a")))
    text = metrics.exposition(asyncio.run(FakeBackend().index()), None).decode()
    for part, count in (("encoder", 4.0), ("recall", 2.0)):
        assert f'reelsift_searches_together_sum{{part="{part}"}} {count}' in text
        assert f'reelsift_searches_together_count{{part="{part}"}} 1.0' in text
