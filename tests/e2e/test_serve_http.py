"""A real `reelsift serve` over HTTP: it answers as `reelsift search`, never breaks off, and leaves nothing behind."""

import asyncio
import io
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

import grpc
import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.client import Client, ServiceError
from pipeline.search import Searcher
from pipeline.serving.grpc import reelsift_pb2 as pb
from pipeline.serving.grpc.reelsift_pb2_grpc import ReelsiftStub
from pipeline.storage import Store
from schemas.filters import parse_filter
from schemas.http import ErrorBody, Health, IndexInfo
from schemas.manifest import LIVE_POINTER, LivePointer
from schemas.recall import RECALL_MODES
from schemas.results import SearchResult
from tests.e2e.cli import run
from tests.e2e.serving import build_version, comparable, publish_version, running_service
from tests.media import make_video
from tests.servers.process import free_ports

VIDEOS = 30
QUERIES = [
    f"a {color} {shape} {verb}" for color in ("red", "blue") for shape in ("star", "box") for verb in ("turns", "stops")
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("serve")
    video = make_video(root / "s1-0000.mp4", num_frames=60)
    for number in range(1, VIDEOS):
        (root / f"s1-{number:04d}.mp4").hardlink_to(video)
    publish_version(root, build_version(root, seed=1, videos=VIDEOS, folder=str(root)).version)
    return root


@pytest.fixture(scope="module")
def service(root):
    # However slow the machine is, sixteen at once are not too many for these tests.
    [grpc_port] = free_ports(1)
    with running_service(root, "--set", "max_wait_ms=60000", "--grpc-port", str(grpc_port)) as service:
        service.grpc_address = f"127.0.0.1:{grpc_port}"
        service.line = service.wait_for_line()
        service.wait_ready()
        yield service


@pytest.fixture
def client(service):
    with service.client() as client:
        yield client


def search(client, query, k=10, recall_k=50, **more):
    answer = client.post("/v1/search", json={"query": query, "k": k, "recall_k": recall_k, **more})
    assert answer.status_code == 200, answer.text
    SearchResult.model_validate_json(answer.content)
    return answer.json()


def assert_same(one, other):
    (facts, scores), (other_facts, other_scores) = comparable(one), comparable(other)
    assert facts == other_facts
    np.testing.assert_allclose(scores, other_scores, rtol=0, atol=1e-5)


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    assert "Traceback" not in answer.text
    return ErrorBody.model_validate_json(answer.content).error


@pytest.mark.parametrize(
    ("query", "k", "recall_k"), [("a red star", 10, 50), ("Ünïcode 日本 \n", 25, 7), ("x" * 2000, 200, 200)]
)
def test_http_and_the_command_line_answer_alike(service, client, root, query, k, recall_k):
    over_http = search(client, query, k, recall_k)
    ran = run("search", query, "--index", root / "index", "--k", k, "--recall-k", recall_k, "--json")
    assert ran.code == 0, ran.err
    assert len(over_http["hits"]) == min(k, 120)
    assert over_http["recall"] == ran.json["recall"] == "both"
    assert_same(over_http, ran.json)


def test_http_and_one_process_answer_alike_in_each_way_of_recall(client, root):
    torch.set_num_threads(1)
    seen = {}
    with closing(Searcher.open(str(root / "index"))) as searcher:
        for mode in RECALL_MODES:
            over_http = search(client, "a red star", 30, 20, recall=mode)
            assert over_http["recall"] == mode
            assert_same(over_http, searcher.search("a red star", 30, 20, mode).model_dump())
            for hit in over_http["hits"][:20]:
                assert hit["score"] == pytest.approx(seen.setdefault(hit["clip_id"], hit["score"]), abs=1e-5)
            narrowed = {"field": "start_s", "op": ">", "value": 0}
            over_http = search(client, "a red star", 30, 20, recall=mode, filter=narrowed)
            one = searcher.search("a red star", 30, 20, mode, parse_filter(json.dumps(narrowed)))
            assert_same(over_http, one.model_dump())
            assert all(hit["start_s"] > 0 for hit in over_http["hits"])
    assert 20 < len(seen) < 60


def test_texts_that_arrive_together_are_answered_as_if_alone(service, root):
    torch.set_num_threads(1)
    with closing(Searcher.open(str(root / "index"))) as searcher:
        alone = {query: searcher.search(query, 20, 60).model_dump() for query in QUERIES}
    with ThreadPoolExecutor(16) as pool, service.client() as client:
        together = list(pool.map(lambda query: search(client, query, 20, 60), QUERIES * 8))
    for result in together:
        assert_same(result, alone[result["query"]])


def test_a_batch_answers_as_one_query_after_the_other(client):
    answer = client.post("/v1/search:batch", json={"queries": QUERIES, "k": 20, "recall_k": 30})
    assert answer.status_code == 200, answer.text
    for query, result in zip(QUERIES, answer.json()["results"], strict=True):
        assert_same(result, search(client, query, 20, 30))


def test_a_hit_leads_to_its_clip_its_video_its_explanation_and_clips_like_it(service, root):
    with Client(service.url, timeout_s=60) as client:
        [hit] = client.search("a red star", k=1, recall_k=5, explain=True).hits
        assert sum(hit.explanation.frame_weights) == pytest.approx(1, abs=1e-4)
        clip = client.clip(hit.clip_id)
        assert (clip.video_id, clip.start_s) == (hit.video_id, hit.start_s)
        like = client.similar(hit.clip_id, k=3).hits
        assert len(like) == 3
        assert hit.clip_id not in {other.clip_id for other in like}
        assert client.fetch(hit.media_url) == (root / "s1-0000.mp4").read_bytes()
        with Image.open(io.BytesIO(client.fetch(hit.thumbnail_url))) as picture:
            assert picture.format == "JPEG"
        with pytest.raises(ServiceError) as refused:
            client.clip("c0")
        assert (refused.value.status, refused.value.code) == (404, "no_such_clip")


def test_grpc_and_http_answer_alike(service, client):
    async def over_grpc():
        async with grpc.aio.insecure_channel(service.grpc_address) as channel:
            return await ReelsiftStub(channel).Search(pb.SearchRequest(query="a red star", k=10, recall_k=50))

    found = asyncio.run(asyncio.wait_for(over_grpc(), 60))
    over_http = search(client, "a red star")
    facts = [(hit.rank, hit.clip_id, hit.video_id, hit.stage) for hit in found.hits]
    assert facts == [tuple(hit[name] for name in ("rank", "clip_id", "video_id", "stage")) for hit in over_http["hits"]]
    scores = [hit["score"] for hit in over_http["hits"]]
    np.testing.assert_allclose([hit.score for hit in found.hits], scores, rtol=0, atol=1e-5)


def test_the_first_line_says_where_it_listens_and_how_to_ask(service):
    assert service.url in service.line
    assert "curl" in service.line
    assert "/v1/search" in service.line


def test_index_and_health_tell_what_is_served(client):
    info = IndexInfo.model_validate_json(client.get("/v1/index").content)
    # Every clip has twelve frames, every second one of a video eleven.
    assert (info.version, info.clips, info.frame_rows, info.codec) == (1, 120, 120 * 12 - 60, "fp16")
    assert Health.model_validate_json(client.get("/healthz").content).status == "ok"
    assert Health.model_validate_json(client.get("/readyz").content).status == "ready"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b'{"query": ""}', 422, "query"),
        (b'{"query": "a", "k": 0}', 422, "k"),
        (b'{"query": "a", "recall_k": NaN}', 422, "recall_k"),
        (b'{"query": "a", "page": 2}', 422, "page"),
        (b'{"query": "a", "filter": {"field": "nope", "op": "==", "value": 1}}', 422, "filter"),
        (b"{", 422, "body"),
        (b"", 422, "body"),
        (b"\xff\xfe", 422, "body"),
        (b'{"query": "' + b"a" * 100_000 + b'"}', 413, "body"),
        (b" " * (6 << 20), 413, "body"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(client, body, status, field):
    answer = client.post("/v1/search", content=body, headers={"content-type": "application/json"})
    assert error_of(answer, status).field == field


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nope", 404), ("GET", "/v1/search", 405), ("PUT", "/readyz", 405)]
)
def test_every_refusal_has_an_error_body(client, method, path, status):
    assert error_of(client.request(method, path), status).message


def test_a_request_id_comes_back_once_and_is_made_where_there_is_none(client):
    given = client.get("/healthz", headers={"X-Request-Id": "req-42"}).headers.get_list("x-request-id")
    assert given == ["req-42"]
    made = [client.get("/v1/nope").headers.get_list("x-request-id") for _ in range(2)]
    assert [len(ids) for ids in made] == [1, 1]
    assert made[0] != made[1]


def test_the_address_in_use_is_one_line_before_anything_starts(service, root):
    ran = run("serve", "--index", root / "index", "--port", service.port)
    ran.assert_one_line_error(1, str(service.port), "--port")


@contextmanager
def asking(service, query, answers):
    """Three clients that ask without a pause; every answer is appended."""
    done = threading.Event()

    def ask():
        with service.client() as client:
            while not done.is_set():
                answers.append(client.post("/v1/search", json={"query": query, "k": 20}))

    askers = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        yield
    finally:
        done.set()
        for asker in askers:
            asker.join(60)


def test_a_newly_published_version_is_taken_up_without_a_break(service, client, root):
    torch.set_num_threads(1)
    answers, expected = [], {}
    with asking(service, "a red star", answers):
        assert build_version(root, seed=2, videos=20).version == 2
        for version in (2, 1):
            publish_version(root, version)
            # Told at once, or seen within two seconds.
            if version == 2:
                assert client.post("/admin/v1/index", json={"version": 2}, timeout=120).json()["version"] == 2
                assert error_of(client.post("/admin/v1/index", json={"version": 9}), 409).code == "another_version"
            with closing(Searcher.open(str(root / "index"))) as searcher:
                expected[version] = searcher.search("a red star", 20, 50).model_dump()
            until(lambda version=version: search(client, "a red star")["version"] == version)
    assert {answer.status_code for answer in answers} == {200}
    results = [answer.json() for answer in answers]
    assert {result["version"] for result in results} == {1, 2}
    # Each answer is whole: clips and scores are those of the version that it names.
    for result in results:
        assert_same(result, expected[result["version"]])


def test_without_an_index_it_says_what_to_run_and_begins_when_there_is_one(tmp_path):
    with running_service(tmp_path, "--rerank-shards", "2", "--set", "reranker_replicas=1") as service:
        service.wait_for_line()
        with service.client() as client:
            ask = {"query": "a red star"}
            error = error_of(client.post("/v1/search", json=ask), 503)
            assert error.code == "index_empty"
            assert "reelsift index build" in error.message
            ready = client.get("/readyz")
            assert ready.status_code == 503
            assert "index_empty" in Health.model_validate_json(ready.content).reason
            assert client.get("/healthz").status_code == 200
            assert IndexInfo.model_validate_json(client.get("/v1/index").content).version is None
            assert error_of(client.post("/v1/search", json={"query": ""}), 422).field == "query"

            build_version(tmp_path, seed=3, videos=3, frames="no")
            elsewhere(tmp_path, milvus="http://127.0.0.1:9")
            until(lambda: error_of(client.post("/v1/search", json=ask), 503).code == "milvus_unavailable")
            assert "milvus_unavailable" in client.get("/readyz").text

            publish_version(tmp_path, 1)
            service.wait_ready()
            answer = search(client, "a red star")
            assert (answer["recall"], len(answer["hits"])) == ("coarse", 10)
            with closing(Searcher.open(str(tmp_path / "index"))) as searcher:
                assert_same(answer, searcher.search("a red star", 10, 50).model_dump())
            error = error_of(client.post("/v1/search", json=ask | {"recall": "frames"}), 422)
            assert (error.code, error.field) == ("invalid_request", "recall")
            assert "reelsift index build --frames yes" in error.message

        left = service.stop(signal.SIGINT)
        assert (service.process.returncode, left) == (0, [])
        assert "Traceback" not in service.log.read_text() + service.errors.read_text()
        with pytest.raises(httpx.ConnectError):
            httpx.get(service.url)
    # Milvus Lite was given back too: the next process can have it.
    Searcher.open(str(tmp_path / "index")).close()


def test_sigterm_while_it_starts_is_a_clean_end_too(root):
    with running_service(root) as service:
        until(lambda: any("ServeController" in name for name in service.family_names()), tries=1200)
        left = service.stop(signal.SIGTERM)
        assert (service.process.returncode, left) == (0, [])
        assert "Traceback" not in service.errors.read_text()


def test_sigterm_ends_all_of_it_with_exit_code_0(service):
    left = service.stop(signal.SIGTERM)
    assert (service.process.returncode, left) == (0, [])
    out = service.log.read_text()
    assert "Traceback" not in out + service.errors.read_text()
    assert len(out.splitlines()) == 1, out


def elsewhere(root, milvus):
    """Publish a version 2 that is version 1, but says that its vectors are in a Milvus that does not answer."""
    index = Store(str(root / "index"))
    manifest = json.loads(index.read("versions/1/manifest.json")) | {"version": 2, "milvus": milvus}
    for shard in manifest["shards"]:
        index.write(f"versions/2/fine/{shard['name']}", index.read(f"versions/1/fine/{shard['name']}"))
    index.write("versions/2/manifest.json", json.dumps(manifest).encode())
    index.write(LIVE_POINTER, LivePointer(version=2).model_dump_json().encode())


def until(holds, tries=300):
    """Wait for a condition; an assertion that fails inside means: not yet."""
    for _ in range(tries):
        with suppress(AssertionError):
            if holds():
                return
        time.sleep(0.1)
    raise AssertionError("it never came")
