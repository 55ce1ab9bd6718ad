import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sources import list_sources, without_tables
from schemas.errors import InputError, UsageError


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "videos"
    (root / "deep" / "er").mkdir(parents=True)
    for name in ("a.mp4", "b.MKV", "deep/er/ünï.webm", "captions.jsonl", "no-suffix"):
        (root / name).write_bytes(b"x" * 3)
    return root


def test_a_folder_is_listed_whole_and_sorted(folder):
    sources = list_sources([str(folder)])
    names = [os.path.relpath(source.uri, folder) for source in sources]
    assert names == sorted(["a.mp4", "b.MKV", "deep/er/ünï.webm", "captions.jsonl", "no-suffix"])
    assert {s.filter_reason for s in sources if s.uri.endswith("jsonl")} == {"not_media"}
    assert all(s.filter_reason is None for s in sources if not s.uri.endswith("jsonl"))


def test_the_etag_changes_with_the_content(folder):
    before = {s.uri: s.etag for s in list_sources([str(folder)])}
    (folder / "a.mp4").write_bytes(b"longer")
    after = {s.uri: s.etag for s in list_sources([str(folder)])}
    assert [uri for uri in before if before[uri] != after[uri]] == [str(folder / "a.mp4")]


def test_a_link_to_a_folder_is_told_and_not_followed(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "far.mp4").write_bytes(b"x")
    (folder / "linked").symlink_to(other)
    (folder / "deep" / "loop").symlink_to(folder)
    (folder / "file.mp4").symlink_to(other / "far.mp4")
    sources = {os.path.relpath(s.uri, folder): s.filter_reason for s in list_sources([str(folder)])}
    assert sources.keys() - {"a.mp4", "b.MKV", "deep/er/ünï.webm", "captions.jsonl", "no-suffix"} == {
        "linked",
        "deep/loop",
        "file.mp4",
    }
    assert (sources["linked"], sources["deep/loop"], sources["file.mp4"]) == ("linked_folder", "linked_folder", None)
    assert [s.uri for s in list_sources([str(folder / "linked")])] == [str(folder / "linked" / "far.mp4")]


def test_one_source_named_by_two_inputs_is_planned_once(folder):
    sources = list_sources([str(folder), str(folder / "a.mp4"), f"{folder}/*.mp4"])
    assert len(sources) == 5


def test_globs_match_deeply_and_odd_names_need_no_escape(folder):
    assert [os.path.basename(s.uri) for s in list_sources([f"{folder}/**/*.webm"])] == ["ünï.webm"]
    odd = folder / "a[1].mp4"
    odd.write_bytes(b"x")
    assert [s.uri for s in list_sources([str(odd)])] == [str(odd)]


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_a_manifest_brings_its_columns_as_metadata(folder, tmp_path, kind):
    rows = [{"uri": "videos/a.mp4", "camera": "7"}, {"uri": str(folder / "gone.mp4"), "camera": "8"}]
    manifest = tmp_path / f"list.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), manifest)
    elif kind == "csv":
        manifest.write_text("uri,camera\n" + "\n".join(f"{r['uri']},{r['camera']}" for r in rows))
    else:
        manifest.write_text("\n".join(json.dumps(r) for r in rows) + "\n")
    by_name = {os.path.basename(s.uri): s for s in list_sources([str(manifest)])}
    assert by_name["a.mp4"].metadata == {"camera": "7"}
    assert by_name["a.mp4"].size_bytes == 3
    assert by_name["gone.mp4"].etag == "missing"


def test_a_mark_of_byte_order_is_no_part_of_a_manifest(tmp_path):
    for name, text in (("a.jsonl", '{"uri": "x.mp4"}'), ("a.csv", "uri\nx.mp4\n")):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert [source.uri for source in list_sources([str(tmp_path / name)])] == [str(tmp_path / "x.mp4")]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("no_uri.csv", "path\na.mp4\n", "row 1 has no 'uri'"),
        ("twice.csv", "uri,uri\na,b\n", "'uri' twice among its columns"),
        ("open.csv", 'uri,year\n"/tmp/x\n', "cannot be parsed"),
        ("long.csv", "uri,year\na.mp4,1999,7\n", "row 1 has more values than there are columns"),
        ("number.jsonl", '{"uri": 5}\n', "row 1: its 'uri' is 5, no text"),
        ("bad.jsonl", '{"uri": "a.mp4"}\n{nope\n', "line 2: it is no JSON"),
        ("list.jsonl", "[1]\n", "JSON object"),
        ("bad.parquet", "PAR?", "cannot be parsed"),
        ("latin.csv", b"uri\n\xff.mp4\n", "cannot be parsed"),
    ],
)
def test_a_broken_manifest_is_one_line(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=says) as error:
        list_sources([str(path)])
    assert "\n" not in str(error.value)


def test_inputs_that_are_not_there_are_errors(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        list_sources([str(tmp_path / "nope")])
    with pytest.raises(InputError, match="nothing there"):
        list_sources([str(tmp_path)])
    with pytest.raises(InputError, match="nothing there"):
        list_sources([f"{tmp_path}/*.mp4"])
    with pytest.raises(UsageError, match="no file system for ftpx"):
        list_sources(["ftpx://host/a.mp4"])


def test_a_pipe_is_listed_without_being_opened(folder):
    os.mkfifo(folder / "pipe.mp4")
    source = next(s for s in list_sources([str(folder)]) if s.uri.endswith("pipe.mp4"))
    assert (source.etag, source.size_bytes) == ("special", -1)


def test_a_name_that_is_not_utf8_is_filtered_not_fatal(tmp_path):
    path = os.fsencode(tmp_path) + b"/bad\xff.mp4"
    with open(path, "wb") as file:
        file.write(b"x")
    (source,) = list_sources([str(tmp_path)])
    assert source.filter_reason == "bad_name"
    assert source.uri.encode()


def test_s3_prefixes_globs_and_manifests(s3_server, s3_env):
    import s3fs

    fs = s3fs.S3FileSystem(use_listings_cache=False)
    root = f"{s3_server.bucket}/sources"
    for name in ("a.mp4", "deep/b.mkv"):
        fs.pipe_file(f"{root}/{name}", b"xyz")
    fs.pipe_file(f"{root}/list.jsonl", b'{"uri": "deep/b.mkv", "k": 1}\n{"uri": "gone.mp4"}\n')
    listed = list_sources([f"s3://{root}/"])
    assert [s.uri for s in listed] == [f"s3://{root}/{n}" for n in ("a.mp4", "deep/b.mkv", "list.jsonl")]
    assert all(s.etag and s.size_bytes for s in listed)
    assert [s.uri for s in list_sources([f"s3://{root}/*.mp4"])] == [f"s3://{root}/a.mp4"]
    found = {s.uri.rsplit("/", 1)[1]: s for s in list_sources([f"s3://{root}/list.jsonl"])}
    assert found["b.mkv"].metadata == {"k": 1}
    assert found["gone.mp4"].etag == "missing"
    with pytest.raises(InputError, match="no such object"):
        list_sources([f"s3://{s3_server.bucket}/nothing/here"])
    with pytest.raises(InputError, match=r"bucket|exist"):
        list_sources(["s3://no-such-bucket-at-all/x"])


def test_a_refused_bucket_is_one_line(s3_server, s3_env, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(InputError) as error:
        list_sources([f"s3://{s3_server.bucket}/"])
    assert "\n" not in str(error.value)


def test_an_empty_folder_named_like_a_video_is_a_source_and_one_with_files_is_not(folder):
    (folder / "lost.MP4").mkdir()
    (folder / "empty").mkdir()
    (folder / "parts.mp4").mkdir()
    (folder / "parts.mp4" / "1.mp4").write_bytes(b"x")
    found = {os.path.relpath(source.uri, folder): source.etag for source in list_sources([str(folder)])}
    assert found["lost.MP4"] == "special"
    assert "parts.mp4/1.mp4" in found
    assert not {"empty", "parts.mp4"} & found.keys()


def test_files_of_the_tables_are_no_sources_and_videos_beside_them_are(tmp_path):
    for name in ("videos/a.mp4", "videos/0.parquet", "plan/0.parquet", "runs/1.html", "extract.lease", "tables.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = without_tables(list_sources([str(tmp_path)]), str(tmp_path))
    assert [source.uri for source in found] == [str(tmp_path / "videos" / "a.mp4")]
    with pytest.raises(InputError, match="nothing but the tables"):
        without_tables(list_sources([str(tmp_path / "plan")]), str(tmp_path))
