"""A call of gRPC is let in, checked, answered and counted as the same request over HTTP is."""

import asyncio
import json

import grpc
import pytest

from pipeline.serving.errors import FailureError, failure
from pipeline.serving.front import Front
from pipeline.serving.grpc import reelsift_pb2 as pb
from pipeline.serving.grpc.calls import Calls
from pipeline.serving.grpc.grpc_listener import GrpcListener
from pipeline.serving.grpc.reelsift_pb2_grpc import ReelsiftStub
from schemas.config import ServeConfig
from schemas.errors import VectorStoreError
from schemas.http import MAX_K
from tests.pipeline.serving.fake_backend import FakeBackend
from tests.servers.process import free_ports

KEY = "k" * 30
FILTER = {"field": "width", "op": ">=", "value": 640}


def asked(work, backend=None, media=None, **settings):
    """What `work` returns of a stub whose server is on a port of this machine."""
    [port] = free_ports(1)

    async def run():
        desk = Front.of(ServeConfig(index="i", **settings)).desk(backend or FakeBackend(), media)
        listener = GrpcListener(Calls(desk), "127.0.0.1", port, grace_s=5)
        await listener.start()
        try:
            listener.check()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                return await work(ReelsiftStub(channel))
        finally:
            await listener.stop()

    return asyncio.run(asyncio.wait_for(run(), 60))


def refused(work, **settings):
    """The failure that a call ends in: its code, its line and its trailing metadata."""

    async def caught(stub):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await work(stub)
        return error.value

    error = asked(caught, **settings)
    return error.code(), error.details(), dict(error.trailing_metadata())


def test_bytes_that_are_no_message_are_a_wrong_argument():
    async def work(stub):
        stub.Search._request_serializer = lambda _: b"\xff\xff\xff"
        await stub.Search(pb.SearchRequest())

    code, details, trailing = refused(work)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert trailing["error-code"] == "invalid_request"
    assert details == "the bytes are no message of this call: see reelsift.proto"


def test_each_call_answers_what_the_backend_does():
    backend = FakeBackend()

    async def work(stub):
        request = pb.SearchRequest(query=" a star ", k=2, rerank=False, filter=json.dumps(FILTER), explain=True)
        return [
            await stub.Search(request),
            await stub.SearchBatch(pb.BatchRequest(queries=["a", "b"], recall_k=7)),
            await stub.Similar(pb.SimilarRequest(clip_id="c1", k=1)),
            await stub.Clip(pb.ClipRequest(clip_id="c2")),
            await stub.Index(pb.IndexRequest()),
        ]

    found, batch, similar, clip, index = asked(work, backend)
    assert [(hit.clip_id, hit.rank, hit.best_s) for hit in found.hits] == [("c1", 1, 1.5), ("c2", 2, 1.5)]
    assert found.query == "a star"
    assert found.timings_ms["recall"] == 3.0
    assert not found.hits[0].HasField("media_url")
    assert [result.query for result in batch.results] == ["a", "b"]
    assert [hit.clip_id for hit in similar.hits] == ["c1"]
    assert clip.fields["width"].int_value == 128
    assert clip.fields["category"].WhichOneof("value") is None
    assert (index.version, index.clips, index.codec) == (3, 7, "fp16")
    search, many = backend.asked
    assert (search.k, search.recall_k, search.rerank, search.explain, search.deadline_ms) == (2, 50, False, True, None)
    assert search.filter.model_dump() == FILTER
    assert (many.k, many.recall_k, many.rerank) == (10, 7, True)


def test_the_deadline_of_a_call_is_that_of_its_search():
    backend = FakeBackend()

    async def work(stub):
        await stub.Search(pb.SearchRequest(query="a"), timeout=20)
        return await stub.Search(pb.SearchRequest(query="a", deadline_ms=50), timeout=20)

    assert asked(work, backend).degraded == ["fewer_candidates"]
    assert 0 < backend.asked[0].deadline_ms <= 20_000
    assert backend.asked[1].deadline_ms == 50


def test_hits_have_signed_addresses_where_media_are_served():
    async def work(stub):
        return await stub.Search(pb.SearchRequest(query="a"))

    hit = asked(work, media=object()).hits[0]
    assert hit.media_url.startswith("/media/c1?")
    assert hit.thumbnail_url.startswith("/thumbnails/c1?")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.SearchRequest(), "query"),
        (pb.SearchRequest(query="  "), "query"),
        (pb.SearchRequest(query="a", k=0), "k"),
        (pb.SearchRequest(query="a", k=MAX_K + 1), "k"),
        (pb.SearchRequest(query="a", recall="best"), "recall"),
        (pb.SearchRequest(query="a", deadline_ms=0), "deadline_ms"),
        (pb.SearchRequest(query="a", filter="{"), "filter"),
        (pb.SearchRequest(query="a", filter='{"and": [{"field": "x", "op": "~"}]}'), "filter.and.0.op"),
        (pb.SearchRequest(query="a", filter='{"field": "x", "op": "exists", "\\u00f6\\n": 1}'), "filter.\\xf6\\n"),
    ],
)
def test_a_wrong_request_is_told_which_part_is_wrong(request_, field):
    code, line, trailing = refused(lambda stub: stub.Search(request_))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert line.startswith(field.split("\\")[0])
    assert "\n" not in line
    assert (trailing["error-code"], trailing["error-field"]) == ("invalid_request", field)
    assert trailing["x-request-id"]


def test_a_batch_and_a_likeness_are_checked_as_well():
    assert refused(lambda stub: stub.SearchBatch(pb.BatchRequest()))[2]["error-field"] == "queries"
    assert refused(lambda stub: stub.Similar(pb.SimilarRequest(clip_id="c1", k=0)))[2]["error-field"] == "k"


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        (FailureError(failure(429, "overloaded", "full")), grpc.StatusCode.RESOURCE_EXHAUSTED, "overloaded"),
        (VectorStoreError("away"), grpc.StatusCode.UNAVAILABLE, "milvus_unavailable"),
        (TimeoutError(), grpc.StatusCode.DEADLINE_EXCEEDED, "timeout"),
        (KeyError("secret"), grpc.StatusCode.INTERNAL, "internal"),
    ],
)
def test_a_failure_has_a_code_of_grpc_and_one_of_ours(error, code, name):
    got, line, trailing = refused(lambda stub: stub.Search(pb.SearchRequest(query="a")), backend=FakeBackend(error))
    assert got is code
    assert trailing["error-code"] == name
    assert "secret" not in line
    assert trailing.get("retry-after-ms") == ("1000" if name in ("overloaded", "milvus_unavailable") else None)


def test_a_clip_that_is_not_there_is_not_found():
    code, _, trailing = refused(lambda stub: stub.Clip(pb.ClipRequest(clip_id="none")))
    assert code is grpc.StatusCode.NOT_FOUND
    assert trailing["error-code"] == "no_such_clip"


@pytest.mark.parametrize("call", ["Search", "SearchBatch", "Similar", "Clip", "Index"])
@pytest.mark.parametrize("header", [None, "Bearer " + "x" * 30, KEY])
def test_with_keys_no_call_is_answered_without_one(monkeypatch, call, header):
    monkeypatch.setenv("KEYS", KEY)
    kinds = {"SearchBatch": pb.BatchRequest}
    request = kinds.get(call, getattr(pb, f"{call}Request", None))()
    metadata = (("authorization", header),) if header else ()
    code, line, trailing = refused(lambda stub: getattr(stub, call)(request, metadata=metadata), api_keys="env:KEYS")
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert trailing["error-code"] == "unauthorized"
    assert KEY not in line


def test_a_key_opens_calls(monkeypatch):
    monkeypatch.setenv("KEYS", KEY)

    async def work(stub):
        return await stub.Index(pb.IndexRequest(), metadata=(("authorization", f"Bearer {KEY}"),))

    assert asked(work, api_keys="env:KEYS").version == 3


def test_calls_are_in_the_log_and_the_request_id_is_the_callers(tmp_path):
    async def work(stub):
        call = stub.Search(pb.SearchRequest(query="a"), metadata=(("x-request-id", "mine"),))
        await call
        return dict(await call.trailing_metadata())

    assert asked(work, request_log=str(tmp_path / "log"))["x-request-id"] == "mine"
    line = json.loads((tmp_path / "log").read_text())
    assert (line["method"], line["path"], line["status"]) == ("GRPC", "/reelsift.v1.Reelsift/Search", 200)
    assert (line["request_id"], line["hits"], line["version"]) == ("mine", 3, 3)


def test_a_call_under_way_is_answered_although_the_server_ends():
    [port] = free_ports(1)
    begun = asyncio.Event()

    class Slow(FakeBackend):
        async def index(self):
            begun.set()
            await asyncio.sleep(0.2)
            return await super().index()

    async def run():
        listener = GrpcListener(Calls(Front.of(ServeConfig(index="i")).desk(Slow())), "127.0.0.1", port, grace_s=10)
        await listener.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            asking = asyncio.ensure_future(ReelsiftStub(channel).Index(pb.IndexRequest()))
            await begun.wait()
            await listener.stop()
            with pytest.raises(RuntimeError, match="ended"):
                listener.check()
            return (await asking).version

    assert asyncio.run(asyncio.wait_for(run(), 60)) == 3


def test_two_share_a_port_and_the_other_serves_on_when_one_ends():
    [port] = free_ports(1)

    async def run():
        desk = Front.of(ServeConfig(index="i")).desk(FakeBackend())
        listeners = [GrpcListener(Calls(desk), "127.0.0.1", port, grace_s=5) for _ in range(2)]
        for listener in listeners:
            await listener.start()
        await listeners[0].stop()
        versions = []
        for _ in range(3):
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                versions.append((await ReelsiftStub(channel).Index(pb.IndexRequest())).version)
        await listeners[1].stop()
        return versions

    assert asyncio.run(asyncio.wait_for(run(), 60)) == [3, 3, 3]
