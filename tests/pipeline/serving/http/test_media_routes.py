"""Videos and pictures come of clips of the index alone, by addresses made here, and as HTTP has them."""

import asyncio
import io

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pipeline.serving.http import media_routes
from pipeline.serving.http.envelope import Envelope
from pipeline.serving.http.http_app import build_app
from pipeline.serving.http.signed_backend import SignedBackend
from pipeline.serving.http.signed_links import Links
from pipeline.serving.replicas.media import Media
from pipeline.serving.replicas.media_files import file_facts, read_file
from pipeline.serving.telemetry.metrics import Metrics
from schemas.errors import StorageError
from schemas.http import ErrorBody
from tests.media import make_video
from tests.pipeline.serving.fake_backend import FakeBackend

LINKS = Links(b"k" * 32)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("media") / "a b.mp4", num_frames=24, fps=12)


@pytest.fixture(scope="module")
def source():
    source = Media(still_timeout_s=120)
    yield source
    source.__del__()  # as Ray Serve does with a replica that ends


def client_of(source, uri):
    backend = SignedBackend(FakeBackend(uris={"c1": str(uri)}), LINKS)
    app = build_app(backend)
    app.include_router(media_routes.media_routes(backend, source, LINKS, Metrics()))
    return TestClient(Envelope(app), raise_server_exceptions=False)


@pytest.fixture
def client(source, video):
    return client_of(source, video)


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    return ErrorBody.model_validate_json(answer.content).error


def test_every_hit_and_clip_leads_to_its_video_and_picture(client, video):
    hit = client.post("/v1/search", json={"query": "a"}).json()["hits"][0]
    batch = client.post("/v1/search:batch", json={"queries": ["a"]}).json()["results"][0]["hits"][0]
    similar = client.get("/v1/similar/c1").json()["hits"][0]
    for each in (hit, batch, similar, client.get("/v1/clips/c1").json()):
        assert client.get(each["media_url"]).content == video.read_bytes()
        assert Image.open(io.BytesIO(client.get(each["thumbnail_url"]).content)).format == "JPEG"


def test_a_video_comes_whole_with_its_type(client, video):
    answer = client.get(LINKS.media("c1"))
    assert (answer.status_code, answer.content) == (200, video.read_bytes())
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == str(video.stat().st_size)
    head = client.head(LINKS.media("c1"))
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(video.stat().st_size))


def test_a_range_comes_as_a_part(client, video):
    whole = video.read_bytes()
    answer = client.get(LINKS.media("c1"), headers={"range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, whole[10:20])
    assert answer.headers["content-range"] == f"bytes 10-19/{len(whole)}"
    beyond = client.get(LINKS.media("c1"), headers={"range": f"bytes={len(whole)}-"})
    assert error_of(beyond, 416).field == "Range"
    assert beyond.headers["content-range"] == f"bytes */{len(whole)}"


def test_a_long_video_comes_in_parts_that_make_up_the_whole(client, video, monkeypatch):
    monkeypatch.setattr(media_routes, "MAX_PART_BYTES", 1000)
    monkeypatch.setattr(media_routes, "MAX_READ_BYTES", 300)
    whole, got = video.read_bytes(), b""
    assert client.get(LINKS.media("c1")).content == whole
    while len(got) < len(whole):
        answer = client.get(LINKS.media("c1"), headers={"range": f"bytes={len(got)}-"})
        assert answer.status_code == 206
        assert 0 < len(answer.content) <= 1000
        assert answer.headers["content-range"].startswith(f"bytes {len(got)}-")
        got += answer.content
    assert got == whole


def test_what_has_not_changed_is_not_sent_again(client):
    etag = client.get(LINKS.media("c1")).headers["etag"]
    assert client.get(LINKS.media("c1"), headers={"if-none-match": etag}).status_code == 304
    same = {"range": "bytes=0-3", "if-range": etag}
    assert client.get(LINKS.media("c1"), headers=same).status_code == 206
    assert client.get(LINKS.media("c1"), headers=same | {"if-range": '"old"'}).status_code == 200


@pytest.mark.parametrize("kind", ["media", "thumbnails"])
def test_an_address_that_was_not_made_here_is_refused(client, kind):
    good = LINKS.media("c1") if kind == "media" else LINKS.thumbnail("c1", 0.5)
    assert client.get(good).status_code == 200
    for bad in (good.replace("c1", "c2"), good[:-1], good.replace("expires=", "expires=1"), good.replace(kind, "x")):
        assert client.get(bad).status_code in {403, 404}
    other = Links(b"x" * 32)
    strange = other.media("c1") if kind == "media" else other.thumbnail("c1", 0.5)
    assert error_of(client.get(strange), 403).code == "bad_signature"
    assert client.get(f"/{kind}/c1").status_code == 422


def test_an_address_that_is_too_old_is_refused(client, monkeypatch):
    monkeypatch.setattr("pipeline.serving.http.signed_links.expiry", lambda now_s: 1000)
    assert error_of(client.get(LINKS.media("c1")), 403).code == "link_expired"


@pytest.mark.parametrize(
    "clip_id",
    [
        "c9",
        "..",
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "c1/../../etc/passwd",
        "",
        "c\x00",
        "日本",
    ],
)
def test_what_is_no_clip_of_the_index_is_404_even_by_a_good_signature(client, clip_id):
    for address in (LINKS.media(clip_id), LINKS.thumbnail(clip_id, 0.5)):
        answer = client.get(address)
        assert answer.status_code == 404
        assert "root:" not in answer.text


@pytest.mark.parametrize(
    "uri",
    [
        *("http://127.0.0.1:1/a.mp4", "https://169.254.169.254/x", "ftp://127.0.0.1/a", "gs://b/a.mp4", "a.mp4"),
        *("../a.mp4", "/no/such.mp4", "/dev/zero", "/tmp", "/etc/passwd/x", "/" + "a" * 5000, "", "/a\x00b"),
        "simplecache::file:///etc/passwd",
    ],
)
def test_what_the_index_names_otherwise_than_files_and_s3_is_never_opened(source, uri):
    client = client_of(source, uri)
    for address in (LINKS.media("c1"), LINKS.thumbnail("c1", 0.5)):
        assert error_of(client.get(address), 404).code == "no_media"


def test_a_picture_is_that_of_its_time_and_made_once(source, video):
    client = client_of(source, video)
    first, last = (client.get(LINKS.thumbnail("c1", time_s)) for time_s in (0.0, 1.9))
    assert first.headers["content-type"] == "image/jpeg"
    assert first.content != last.content
    assert asyncio.run(source.still(str(video), 1.9)).cached
    video.rename(video.with_suffix(".gone"))
    try:
        assert client.get(LINKS.thumbnail("c1", 1.9)).content == last.content
    finally:
        video.with_suffix(".gone").rename(video)


def test_a_file_that_is_no_video_has_no_picture_and_harms_nobody(source, video, tmp_path):
    playlist = tmp_path / "a.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n")
    assert error_of(client_of(source, playlist).get(LINKS.thumbnail("c1", 0.5)), 404).code == "no_media"
    assert client_of(source, video).get(LINKS.thumbnail("c1", 0.25)).status_code == 200


def test_videos_in_s3_come_alike(request, s3_env, video):
    source = Media(still_timeout_s=120)  # its children know of the store by their environment
    request.addfinalizer(source.__del__)
    client = s3_env.client()
    client.put_object(Bucket=s3_env.bucket, Key="media/a.mp4", Body=video.read_bytes())
    uri = f"s3://{s3_env.bucket}/media/a.mp4"
    served = client_of(source, uri)
    assert served.get(LINKS.media("c1")).content == video.read_bytes()
    assert served.get(LINKS.media("c1"), headers={"range": "bytes=5-9"}).content == video.read_bytes()[5:10]
    picture = served.get(LINKS.thumbnail("c1", 0.5))
    assert picture.status_code == 200, picture.text
    assert Image.open(io.BytesIO(picture.content)).format == "JPEG"
    gone = client_of(source, f"s3://{s3_env.bucket}/media/none.mp4")
    assert error_of(gone.get(LINKS.media("c1")), 404).code == "no_media"


def test_a_store_that_is_away_is_no_missing_file(monkeypatch):
    def away(uri):
        raise ConnectionRefusedError("no route")

    monkeypatch.setattr("pipeline.serving.replicas.media_files.filesystem", away)
    monkeypatch.setattr("pipeline.storage._RETRY_WAITS_S", ())
    with pytest.raises(StorageError):
        file_facts("s3://bucket/a.mp4")
    with pytest.raises(StorageError):
        read_file("s3://bucket/a.mp4", 0, 1)
