"""The cache of remote shards stays within its bound, and what is in it is what the manifest says."""

import hashlib
import os
import shutil

import pytest

from pipeline.index.fine_cache import CACHE_VARIABLE, LIMIT_VARIABLE, local_shards
from schemas.errors import ConfigError, IndexCorruptError, StorageError
from schemas.manifest import FineShard, VersionManifest

SIZE = 1 << 20


class RemoteFolder:
    """As much of a remote `Store` as the cache uses, over a local folder."""

    is_remote = True

    def __init__(self, root):
        self.root = str(root)
        self.downloads = 0

    def path(self, name):
        return f"{self.root}/{name}"

    def download(self, name, target):
        self.downloads += 1
        shutil.copy(self.path(name), target)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv(LIMIT_VARIABLE, str(2.5 * SIZE / (1 << 30)))
    return tmp_path / "cache"


def version(tmp_path, number):
    """A version of one shard."""
    folder = tmp_path / f"v{number}"
    (folder / "fine").mkdir(parents=True)
    data = bytes([number]) * SIZE
    (folder / "fine" / "shard-00000.bin").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    shard = FineShard(name="shard-00000.bin", clips=1, size_bytes=SIZE, sha256=digest)
    return RemoteFolder(folder), VersionManifest.model_construct(shards=[shard], version=number)


def used(cache):
    return sum(path.stat().st_size for path in cache.rglob("*.bin"))


def test_the_copies_opened_longest_ago_go_first(tmp_path, cache):
    versions = [version(tmp_path, number) for number in range(4)]
    for turn, number in enumerate((0, 1, 0, 2, 0, 3)):
        (path,) = local_shards(*versions[number])
        assert path.read_bytes()[:1] == bytes([number])
        assert used(cache) <= 2.5 * SIZE
        # Times of a file system may be coarse.
        os.utime(path.parents[1] / ".lock", (turn, turn))
    assert [store.downloads for store, _ in versions] == [1, 1, 1, 1]


def test_a_reader_keeps_what_it_has_open(tmp_path, cache):
    versions = [version(tmp_path, number) for number in range(4)]
    (path,) = local_shards(*versions[0])
    with path.open("rb") as file:
        for number in (1, 2, 3):
            local_shards(*versions[number])
        assert not path.exists()
        assert file.read() == bytes(SIZE)


def test_a_version_larger_than_the_cache_is_refused_before_it_is_fetched(tmp_path, cache, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, str(0.5 * SIZE / (1 << 30)))
    store, manifest = version(tmp_path, 1)
    with pytest.raises(StorageError, match=f"^the fine shards of this version have {SIZE} bytes[^\n]*{LIMIT_VARIABLE}"):
        local_shards(store, manifest)
    assert store.downloads == 0


@pytest.mark.parametrize("limit", ["0", "-1", "much", "nan", "inf"])
def test_a_bound_that_is_none_is_named(tmp_path, cache, monkeypatch, limit):
    monkeypatch.setenv(LIMIT_VARIABLE, limit)
    with pytest.raises(ConfigError, match=f"^{LIMIT_VARIABLE} = '{limit}'"):
        local_shards(*version(tmp_path, 1))


def test_a_shard_that_is_damaged_on_the_way_never_gets_in(tmp_path, cache):
    store, manifest = version(tmp_path, 1)
    (tmp_path / "v1" / "fine" / "shard-00000.bin").write_bytes(b"x" * SIZE)
    with pytest.raises(IndexCorruptError, match="has sha256"):
        local_shards(store, manifest)
    assert used(cache) == 0
