"""Both kinds of location keep the same promises: a local folder, and a bucket of a real S3 server."""

import errno
import socket
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.storage import Store, canonical, read_input, retrying
from schemas.errors import InputError, StorageError, UsageError


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path):
    """An empty location of each kind."""
    if request.param == "local":
        return Store(str(tmp_path / "root"))
    server = request.getfixturevalue("s3_env")
    return Store(f"s3://{server.bucket}/{uuid.uuid4().hex}")


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr(storage, "_RETRY_WAITS_S", (0.0, 0.0, 0.0))


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def leftovers(store):
    return [] if store.is_remote else [path for path in Path(store.root).rglob("*") if ".part" in path.name]


def test_an_object_comes_back_and_can_be_replaced(store):
    store.write("a/b.bin", b"one")
    store.write("a/b.bin", b"two")
    assert store.read("a/b.bin") == b"two"
    assert store.exists("a/b.bin")
    assert leftovers(store) == []


def test_a_missing_object_is_named_in_one_line(store):
    with pytest.raises(StorageError) as error:
        store.read("nothing")
    assert one_line(error) == f"cannot read {store.root}/nothing: does not exist"
    assert not store.exists("nothing")


def test_names_are_sorted_files_of_one_folder(store):
    for name in ("t/b.parquet", "t/a.parquet", "t/a.json", "t/deep/c.parquet", "other.parquet"):
        store.write(name, b"x")
    assert store.names("t", ".parquet") == ["a.parquet", "b.parquet"]
    assert store.names("t") == ["a.json", "a.parquet", "b.parquet"]
    assert store.names("missing") == []


def test_folders_are_sorted_and_a_missing_one_is_empty(store):
    for version in ("10", "2", "1"):
        store.write(f"versions/{version}/manifest.json", b"{}")
    store.write("versions/file", b"")
    assert store.folders("versions") == ["1", "10", "2"]
    assert store.folders("missing") == []


def test_a_listing_sees_what_another_writer_added(store):
    assert store.names("t") == []
    Store(store.root).write("t/new", b"x")
    assert store.names("t") == ["new"]


def test_deleting_twice_is_no_error(store):
    store.write("a", b"x")
    store.delete("a")
    store.delete("a")
    assert not store.exists("a")


def test_create_never_replaces(store):
    assert store.create("once", b"first")
    assert not store.create("once", b"second")
    assert store.read("once") == b"first"
    assert leftovers(store) == []


def test_of_many_creators_one_wins_and_its_bytes_stay(store):
    writers = 8
    start = threading.Barrier(writers)

    def create(number):
        start.wait()
        return store.create("race", b"%d" % number)

    with ThreadPoolExecutor(writers) as pool:
        made = list(pool.map(create, range(writers)))
    assert made.count(True) == 1
    assert store.read("race") == b"%d" % made.index(True)
    assert leftovers(store) == []


def test_a_lost_create_race_is_a_no_and_not_an_error(store, monkeypatch):
    store.write("race", b"winner")
    looks = []

    def absent_at_first(path, **_):
        looks.append(path)
        return len(looks) > 1

    monkeypatch.setattr(store._fs, "exists", absent_at_first)
    assert store.create("race", b"loser") is False
    monkeypatch.undo()
    assert store.read("race") == b"winner"


def test_files_go_up_and_come_down_whole(store, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 1000)
    store.upload(source, "deep/copy")
    store.download("deep/copy", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == leftovers(store) == []


def test_a_failed_download_leaves_no_file(store, tmp_path):
    with pytest.raises(StorageError, match="does not exist"):
        store.download("nothing", tmp_path / "target")
    assert not list(tmp_path.glob("*target*"))


def test_uploading_what_is_no_file_says_so(store, tmp_path):
    with pytest.raises(StorageError, match=r"absent is no file"):
        store.upload(tmp_path / "absent", "a")


def test_readers_of_an_object_that_is_replaced_see_old_or_new(store):
    old, new = b"o" * 300_000, b"n" * 300_000
    store.write("a", old)
    stop = threading.Event()

    def replace():
        while not stop.is_set():
            store.write("a", new)
            store.write("a", old)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(replace)
        seen = {store.read("a") for _ in range(30)}
        stop.set()
        writer.result()
    assert seen <= {old, new}


def test_a_local_write_that_fails_half_way_leaves_the_old_object(tmp_path, monkeypatch, no_waiting):
    store = Store(str(tmp_path))
    store.write("a", b"old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        store.write("a", b"new")
    assert store.read("a") == b"old"
    assert leftovers(store) == []


def test_a_disk_without_hard_links_can_still_create(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(storage.os, "link", refuse)
    store = Store(str(tmp_path))
    assert store.create("a", b"x")
    assert store.read("a") == b"x"


def test_a_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "tables").write_text("not a folder")
    with pytest.raises(StorageError) as error:
        Store(str(tmp_path / "tables")).write("plan/part", b"x")
    assert one_line(error).startswith(f"cannot write {tmp_path}/tables/plan/part: ")


def test_parts_of_a_dead_writer_are_no_objects(tmp_path):
    (tmp_path / ".a.parquet.1.2.part").write_bytes(b"half")
    assert Store(str(tmp_path)).names("") == []


def test_listing_goes_on_beyond_one_page(s3_env):
    prefix = uuid.uuid4().hex
    client = s3_env.client()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: client.put_object(Bucket=s3_env.bucket, Key=f"{prefix}/{n:04}", Body=b""), range(1005)))
    assert len(Store(f"s3://{s3_env.bucket}/{prefix}").names("")) == 1005


def test_folder_markers_of_other_tools_are_no_objects(s3_env):
    prefix = uuid.uuid4().hex
    s3_env.client().put_object(Bucket=s3_env.bucket, Key=f"{prefix}/plan/", Body=b"")
    store = Store(f"s3://{s3_env.bucket}/{prefix}")
    store.write("plan/part-0", b"x")
    assert store.names("plan") == ["part-0"]


def test_a_missing_bucket_is_one_line(s3_env):
    store = Store("s3://reelsift-no-such-bucket/tables")
    for write in (store.write, store.create):
        with pytest.raises(StorageError) as error:
            write("a", b"x")
        assert one_line(error) == "cannot write s3://reelsift-no-such-bucket/tables/a: the bucket does not exist"
    assert store.names("plan") == []


@pytest.mark.parametrize(("name", "value"), [("AWS_SECRET_ACCESS_KEY", "wrong"), ("AWS_ACCESS_KEY_ID", "nobody")])
def test_wrong_keys_are_one_line(s3_env, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    store = Store(f"s3://{s3_env.bucket}/x")
    for call in (
        lambda: store.write("a", b"x"),
        lambda: store.read("a"),
        lambda: store.names(""),
        lambda: store.exists("a"),
    ):
        with pytest.raises(StorageError, match="access denied") as error:
            call()
        one_line(error)
    with pytest.raises(InputError, match="access denied"):
        read_input(f"s3://{s3_env.bucket}/x/a")


def test_no_keys_at_all_says_what_to_set(s3_env, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StorageError, match="set AWS_ACCESS_KEY_ID") as error:
        Store(f"s3://{s3_env.bucket}/x").write("a", b"x")
    one_line(error)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["refuses", "silent"])
def test_a_dead_endpoint_ends_in_one_line(s3_env, monkeypatch, no_waiting, kind):
    # The limits are shortened, so that what is tested is that they hold through all layers of retries.
    short = {"connect_timeout": 1, "read_timeout": 1, "retries": {"max_attempts": 1}}
    monkeypatch.setattr(storage, "_s3_config", lambda: short)
    monkeypatch.setattr(storage, "_RETRY_WITHIN_S", 1.0)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if kind == "silent":
            listener.listen()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        store = Store(f"s3://{s3_env.bucket}/x")
        with pytest.raises(StorageError) as error:
            store.write("a", b"x")
        assert endpoint in one_line(error)
        with pytest.raises(InputError):
            read_input(f"s3://{s3_env.bucket}/x/a")


def failing(times, error):
    left = [error] * times

    def work():
        if left:
            raise left.pop()
        return "done"

    return work, left


def test_a_passing_fault_is_retried(no_waiting):
    work, _ = failing(3, OSError(errno.EIO, "Service Unavailable"))
    assert retrying(work) == "done"


def test_a_worker_waits_out_a_fault_that_others_are_told_of(no_waiting, monkeypatch):
    monkeypatch.setattr(storage, "_LATE_WAIT_S", 0.0)
    with pytest.raises(OSError, match="Service Unavailable"):
        retrying(failing(9, OSError(errno.EIO, "Service Unavailable"))[0])
    assert retrying(failing(9, OSError(errno.EIO, "Service Unavailable"))[0], storage.WORKER_PATIENCE_S) == "done"


def test_patience_ends(no_waiting, monkeypatch):
    monkeypatch.setattr(storage, "_LATE_WAIT_S", 0.0)
    monkeypatch.setattr(storage, "_RETRY_WITHIN_S", 0.0)
    work, left = failing(1 << 16, OSError(errno.EIO, "Service Unavailable"))
    with pytest.raises(OSError, match="Service Unavailable"):
        retrying(work, 1e-6)
    assert left


@pytest.mark.parametrize(
    "error", [FileNotFoundError(), PermissionError(), OSError(errno.ENOSPC, "full"), OSError(errno.EINVAL, "bad key")]
)
def test_what_no_retry_can_mend_fails_at_once(no_waiting, error):
    work, left = failing(2, error)
    with pytest.raises(type(error)):
        retrying(work)
    assert len(left) == 1


def test_our_own_bugs_are_not_dressed_as_storage_errors(tmp_path, monkeypatch):
    store = Store(str(tmp_path))
    monkeypatch.setattr(store._fs, "exists", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.exists("a")


@pytest.mark.parametrize("uri", ["s3://", "s3:///prefix", "s3:/bucket/prefix", "file:/a"])
def test_a_slip_in_a_uri_is_no_local_folder(uri):
    with pytest.raises(UsageError, match="is no location: write s3://bucket/prefix"):
        canonical(uri)


@pytest.mark.parametrize("scheme", ["nope", "gs", "ftp", "hdfs", "http", "https", "memory", "S3"])
def test_any_scheme_but_s3_is_refused_before_its_file_system_is_loaded(scheme, monkeypatch):
    monkeypatch.setattr(storage.fsspec, "filesystem", lambda *_, **__: pytest.fail("loaded"))
    for use in (Store, read_input):
        with pytest.raises(UsageError, match=f"no file system for {scheme}://; use a local path or s3://") as error:
            use(f"{scheme}://127.0.0.1:9/x")
        assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/data/a/../b/", "/data/b"),
        ("file:///data/a", "/data/a"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/a//", "s3://bucket/a"),
    ],
)
def test_a_location_has_one_spelling(uri, expected):
    assert canonical(uri) == expected
    assert canonical(canonical(uri)) == expected
