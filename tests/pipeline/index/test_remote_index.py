"""An index in an object store: fine shards on S3, vectors on a Milvus server."""

import json
import os
import socket
import time
import uuid

import numpy as np
import pytest

from pipeline.index.build import build_index
from pipeline.index.build_lock import LEASE, only_build
from pipeline.index.fine_store import FineStore
from pipeline.index.garbage import collect_garbage
from pipeline.index.switch import publish, rollback
from pipeline.index.unfinished import MARKER
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import (
    list_versions,
    live_manifest,
    live_version,
    next_version,
    read_manifest,
    version_store,
)
from pipeline.storage import Store
from schemas.errors import IndexCorruptError, StorageError, UsageError
from schemas.index_config import IndexConfig


@pytest.fixture
def index(s3_env, tmp_path, monkeypatch):
    monkeypatch.setenv("REELSIFT_CACHE", str(tmp_path / "cache"))
    return Store(f"s3://{s3_env.bucket}/{uuid.uuid4().hex}/index")


@pytest.fixture
def build(tables, tmp_path, index, milvus_server):
    def run(progress=lambda done, total, doing: None):
        settings = {"tables": str(tmp_path / "tables"), "index": index.root, "milvus": milvus_server, "batch_rows": 5}
        # Frame vectors have no part in an object store, and a server takes seconds to load each collection.
        return build_index(IndexConfig.of(settings | {"shard_bytes": 300_000, "frames": "no"}), progress)

    return run


def cached(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix == ".bin")


def test_shards_are_fetched_once_and_then_read_from_disk(build, index, tables, tmp_path):
    summary = build()
    assert publish(index).live
    assert cached(tmp_path) == []
    manifest = live_manifest(index)
    assert len(manifest.shards) == 3
    vectors = VectorStore.open(manifest.milvus, index.root)
    store = version_store(index, 1)
    for _ in range(2):
        fine = FineStore(store, manifest)
        for clip in tables.clips:
            hit = vectors.search(summary.collection, np.asarray(clip["coarse"], np.float32)[None], 1)[0][0]
            records = fine.read([(hit.shard, hit.row)])
            assert records.clip_ids == [clip["clip_id"]]
            np.testing.assert_array_equal(records.clips.frames.inflated()[0], tables.tokens(clip, "frames"))
        fine.close()
        assert cached(tmp_path) == [shard.name for shard in manifest.shards]
        # The second round has nothing left to fetch from.
        for shard in manifest.shards:
            store.delete(f"fine/{shard.name}")
    vectors.close()


def test_the_build_leaves_nothing_but_the_version_behind(build, index):
    build()
    assert index.folders("versions") == ["1"]
    assert version_store(index, 1).names("") == ["manifest.json", "tasks.r1.txt"]
    assert index.names("") == ["index.json"]


def test_a_shard_that_was_changed_is_named_and_never_cached(build, index, tmp_path):
    build()
    manifest, store = read_manifest(index, 1), version_store(index, 1)
    name = f"fine/{manifest.shards[1].name}"
    data = bytearray(store.read(name))
    data[-1] ^= 1
    store.write(name, bytes(data))
    with pytest.raises(IndexCorruptError, match=rf"^{store.path(name)} has sha256 [^\n]*$"):
        FineStore(store, manifest)
    assert manifest.shards[1].name not in cached(tmp_path)


def test_a_shard_that_is_missing_is_named_and_its_version_not_published(build, index):
    build()
    manifest, store = read_manifest(index, 1), version_store(index, 1)
    store.delete(f"fine/{manifest.shards[1].name}")
    for work in (lambda: FineStore(store, manifest), lambda: publish(index)):
        with pytest.raises(IndexCorruptError, match=f"{manifest.shards[1].name} is missing"):
            work()
    assert live_version(index) is None


def test_a_copy_that_was_cut_short_is_fetched_again(build, index, tmp_path, tables):
    build()
    manifest, store = read_manifest(index, 1), version_store(index, 1)
    FineStore(store, manifest).close()
    (copy,) = [path for path in (tmp_path / "cache").rglob(manifest.shards[0].name)]
    os.truncate(copy, 100)
    fine = FineStore(store, manifest)
    assert fine.read([(0, 0)]).clip_ids == [tables.clip_ids[0]]
    fine.close()


def test_what_an_unfinished_build_left_in_the_store_is_removed(build, index, milvus_server):
    vectors = VectorStore.open(milvus_server, index.root)
    name = f"test_{uuid.uuid4().hex}"
    vectors.create(name, 8)
    store = version_store(index, 1)
    store.write(MARKER, json.dumps({"milvus": milvus_server, "collection": name}).encode())
    store.write("fine/shard-00000.bin", b"part")
    store.write("fine/shard-00099.bin", b"part")
    assert build().version == 1
    assert name not in vectors.collections()
    assert len(store.names("fine")) == 3
    vectors.close()


def test_a_failed_build_leaves_no_object_of_a_version(build, index):
    def fail(done, total, doing):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(fail)
    assert list_versions(index) == []
    assert version_store(index, 1).names("") == version_store(index, 1).names("fine") == []
    assert not index.exists(LEASE)


def test_versions_are_rolled_back_and_removed_in_an_object_store_and_a_server(build, index, milvus_server):
    for _ in range(3):
        build()
    publish(index, 3)
    publish(index, 2)
    assert rollback(index).version == 3
    names = [read_manifest(index, n).collection for n in (1, 2, 3)]
    alias = read_manifest(index, 3).alias
    vectors = VectorStore.open(milvus_server, index.root)
    # As a publish leaves it that was killed before its last step: a server keeps what an alias leads to.
    vectors.set_alias(alias, names[0])
    objects = version_store(index, 1)
    fine_bytes = sum(shard.size_bytes for shard in read_manifest(index, 1).shards)
    summary = collect_garbage(index, 0)
    assert (summary.removed, summary.kept, summary.orphans, summary.left) == ([1], [2, 3], [], [])
    assert summary.fine_bytes > fine_bytes
    assert objects.names("") == objects.names("fine") == []
    assert [name in vectors.collections() for name in names] == [False, True, True]
    assert index.names("") == ["highest.json", "index.json", "live.json"]
    assert rollback(index).version == 2
    assert vectors.resolve_alias(alias) == names[1]
    assert vectors.count(names[1]) == 12
    assert next_version(index) == 4
    vectors.close()


def test_a_second_build_is_refused_while_the_first_one_lives(build, index):
    with (
        only_build(index),
        pytest.raises(StorageError, match=r"^another build, update, delete or gc is writing [^\n]*$"),
    ):
        build()
    assert not index.exists(LEASE)


@pytest.mark.parametrize(
    ("holder", "taken_over"),
    [
        ({"host": "elsewhere", "pid": 1, "renewed": 0}, True),
        ({"host": "elsewhere", "pid": 1, "renewed": 1e11}, False),
        ({"host": "elsewhere"}, False),
    ],
)
def test_only_a_lease_that_is_no_longer_renewed_is_taken_over(index, holder, taken_over):
    index.write(LEASE, json.dumps(holder).encode())
    if taken_over:
        with only_build(index):
            assert json.loads(index.read(LEASE))["pid"] == os.getpid()
        assert not index.exists(LEASE)
    else:
        with pytest.raises(StorageError, match="if it was killed, remove s3://"), only_build(index):
            pass


def test_a_lease_of_a_process_that_is_gone_from_this_machine_is_taken_over(index):
    gone = {"host": socket.gethostname(), "pid": 2**22 + 1, "renewed": time.time()}
    index.write(LEASE, json.dumps(gone).encode())
    with only_build(index):
        pass
    assert not index.exists(LEASE)


def test_milvus_lite_is_refused(index, tables, tmp_path):
    with pytest.raises(UsageError, match="Milvus Lite needs a local directory"):
        build_index(IndexConfig(tables=str(tmp_path / "tables"), index=index.root))
    assert index.names("") == []
