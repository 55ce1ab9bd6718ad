"""What no version needs goes, and nothing else, however often and wherever the removal is killed."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from pipeline.index import garbage, unfinished
from pipeline.index.build import build_index
from pipeline.index.build_lock import only_build, only_switch
from pipeline.index.garbage import collect_garbage
from pipeline.index.switch import _check_collections, _check_shards, publish, rollback
from pipeline.index.unfinished import MARKER, mark
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import (
    list_versions,
    live_pointer,
    next_version,
    read_manifest,
    version_numbers,
    version_store,
)
from pipeline.storage import Store
from schemas.errors import IndexCorruptError, IndexMissingError, StorageError
from schemas.index_config import IndexConfig
from schemas.manifest import LivePointer
from tests.pipeline.index.processes import ROOT
from tests.servers.process import LOOPBACK, free_ports
from tests.tables_factory import make_tables

# Ends itself as kill -9 would, before the first collection of a retired version goes.
KILLED_GC = """
import os, signal, sys
from pipeline.index.garbage import collect_garbage
from pipeline.index.vector_store import VectorStore
from pipeline.storage import Store
VectorStore.drop = lambda self, name: os.kill(os.getpid(), signal.SIGKILL)
collect_garbage(Store(sys.argv[1]), 1)
"""


class Kill(BaseException):
    """In the place of kill -9: nothing in the code under test catches it."""


def collections(index):
    vectors = VectorStore.open("lite", index.root)
    found = vectors.collections()
    vectors.close()
    return found


def of(index, *numbers):
    return sorted(
        f"{name}{end}" for n in numbers if (name := read_manifest(index, n).collection) for end in ("", "_frames")
    )


def folders(index):
    return sorted(int(name) for name in os.listdir(index.path("versions")))


def check_whole(index):
    """All that readers may trust is there, to the last row."""
    vectors = VectorStore.open("lite", index.root)
    for number in version_numbers(index):
        manifest = read_manifest(index, number)
        _check_shards(index, manifest)
        _check_collections(vectors, manifest)
    vectors.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory, model):
    """Indexes of two and of five versions, of which nothing is published, by their number."""
    root = tmp_path_factory.mktemp("made")
    make_tables(Store(str(root / "t")), shape=model.token_shape, model_id=model.model_id, model=model.name)
    for count in range(1, 6):
        build_index(IndexConfig(tables=str(root / "t"), index=str(root / "5")))
        if count == 2:
            shutil.copytree(root / "5", root / "2")
    return root


@pytest.fixture
def two(made, index):
    """Versions 1 and 2; 2 is live."""
    shutil.copytree(made / "2", index.root)
    publish(index, 2)
    return index


@pytest.fixture
def five(made, index):
    """Versions 1 to 5; 2 is live and was 4 before."""
    shutil.copytree(made / "5", index.root)
    publish(index, 4)
    publish(index, 2)
    return index


def test_the_live_version_the_one_before_and_the_newest_stay(five):
    sizes = {entry.version: entry for entry in list_versions(five)}
    fine = sum(os.path.getsize(five.path(f"versions/{n}/fine/{name}")) for n in (1, 3) for name in files(five, n))
    beside = ("manifest.json", "tasks.r1.txt")
    manifests = sum(os.path.getsize(five.path(f"versions/{n}/{name}")) for n in (1, 3) for name in beside)
    summary = collect_garbage(five, 1)
    assert (summary.removed, summary.kept, summary.leftovers, summary.orphans, summary.left) == (
        [1, 3],
        [2, 4, 5],
        [],
        [],
        [],
    )
    assert summary.fine_bytes == fine + manifests
    assert summary.milvus_bytes == sizes[1].milvus_bytes + sizes[3].milvus_bytes
    assert version_numbers(five) == folders(five) == [2, 4, 5]
    assert collections(five) == of(five, 2, 4, 5)
    check_whole(five)
    assert rollback(five).version == 4
    again = collect_garbage(five, 1)
    assert (again.removed, again.fine_bytes, again.milvus_bytes) == ([], 0, 0)


@pytest.mark.parametrize("live", [b'{"version": 7, "previous": 4}', None])
def test_nothing_is_removed_while_it_is_not_known_what_is_live(five, live):
    five.delete("live.json")
    if live:
        five.write("live.json", live)
    says = (
        r"live.json names version 7, which is not there" if live else r"live.json is gone, but a version was published"
    )
    for dry_run in (True, False):
        with pytest.raises(IndexCorruptError, match=rf"^[^\n]*{says}[^\n]*nothing was removed$"):
            collect_garbage(five, 0, dry_run=dry_run)
    assert version_numbers(five) == [1, 2, 3, 4, 5]
    publish(five, 2)
    assert collect_garbage(five, 1).kept == [2, 5]


def files(index, number):
    return os.listdir(index.path(f"versions/{number}/fine"))


def test_a_dry_run_says_the_same_and_changes_nothing(five):
    before = sorted(path for path in map(str, five_files(five)))
    said = collect_garbage(five, 1, dry_run=True)
    assert sorted(map(str, five_files(five))) == before
    assert collections(five) == of(five, 1, 2, 3, 4, 5)
    assert said.dry_run
    assert collect_garbage(five, 1) == said.model_copy(update={"dry_run": False})


def five_files(index):
    for folder, _, names in os.walk(index.path("versions")):
        yield from (os.path.join(folder, name) for name in names)


def test_the_newest_stays_where_none_was_published(made, index):
    shutil.copytree(made / "2", index.root)
    assert collect_garbage(index, 0).kept == [2]


def test_as_many_of_the_newest_stay_as_asked(five):
    for keep, kept in ((0, [2, 4]), (3, [2, 3, 4, 5]), (99, [1, 2, 3, 4, 5])):
        assert collect_garbage(five, keep, dry_run=True).kept == kept


def test_the_number_of_a_version_that_is_gone_never_comes_back(five, build):
    assert collect_garbage(five, 0).removed == [1, 3, 5]
    assert next_version(five) == 6
    assert build().version == 6
    assert collect_garbage(five, 0).removed == [6]
    assert collect_garbage(five, 0).removed == []
    assert next_version(five) == 7


@pytest.fixture
def dies_after(monkeypatch):
    """Let all that changes an index work so often, and then never again."""

    def dying(work, steps):
        def step(*args, **kwargs):
            if not steps:
                raise Kill
            steps.pop()
            return work(*args, **kwargs)

        return step

    @contextmanager
    def run(count):
        steps = [None] * count
        with monkeypatch.context() as patch:
            for owner, name in ((Store, "write"), (Store, "delete"), (VectorStore, "drop")):
                patch.setattr(owner, name, dying(getattr(owner, name), steps))
            # Not rmtree itself: Milvus Lite, in this process, uses it too.
            patch.setattr(unfinished, "shutil", SimpleNamespace(rmtree=dying(shutil.rmtree, steps)))
            yield

    return run


# highest.json and the marker are written, the manifest goes; two collections, shards, tasks, evaluation, the marker
@pytest.mark.parametrize("survived", range(9))
def test_killed_anywhere_it_leaves_only_whole_versions_and_the_next_one_completes_it(two, index, dies_after, survived):
    with dies_after(survived), pytest.raises(Kill):
        collect_garbage(index, 1)
    assert version_numbers(index) == ([1, 2] if survived < 3 else [2])
    check_whole(index)
    assert live_pointer(index) == LivePointer(version=2)
    collect_garbage(index, 1)
    assert (folders(index), collections(index)) == ([2], of(index, 2))
    assert version_store(index, 2).names("") == ["manifest.json", "tasks.r1.txt"]


def test_nine_steps_are_all(two, index, dies_after):
    with dies_after(9):
        assert collect_garbage(index, 1).removed == [1]
    assert (folders(index), collections(index)) == ([2], of(index, 2))


def test_what_a_killed_removal_left_no_reader_sees_and_a_build_clears_away(two, index, build):
    argv = [sys.executable, "-c", KILLED_GC, index.root]
    killed = subprocess.run(argv, cwd=ROOT, check=False, timeout=120, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert version_numbers(index) == [2]
    with pytest.raises(IndexMissingError, match="has no version 1; it has: 2"):
        publish(index, 1)
    assert len(collections(index)) == 4
    assert build().version == 3
    assert (folders(index), collections(index)) == ([2, 3], of(index, 2, 3))


def test_nothing_is_touched_while_a_build_or_a_switch_is_under_way(five):
    for lock, says in (
        (only_build, "another build, update, delete or gc is writing"),
        (only_switch, "another publish, rollback or gc"),
    ):
        with lock(five), pytest.raises(StorageError, match=rf"^{says} [^\n]*$"):
            collect_garbage(five, 1)
        assert version_numbers(five) == [1, 2, 3, 4, 5]
        assert collections(five) == of(five, 1, 2, 3, 4, 5)


def test_orphans_in_milvus_and_in_the_folder_go_and_what_is_not_ours_stays(two, index):
    name = read_manifest(index, 1).collection
    vectors = VectorStore.open("lite", index.root)
    for orphan in (f"{name}_frames_mine", "reelsift_000000000000_v1"):
        vectors.create(orphan, 8)
    vectors.close()
    # Somebody removed a folder by hand, and another one's manifest.
    shutil.rmtree(index.path("versions/1"))
    shutil.copytree(index.path("versions/2/fine"), index.path("versions/7/fine"))
    os.makedirs(index.path("versions/8"))
    Store(index.path("versions/8")).write("notes.txt", b"mine")
    summary = collect_garbage(index, 2)
    assert (summary.removed, summary.leftovers, summary.orphans) == ([], [7], [name, f"{name}_frames"])
    assert summary.fine_bytes == sum(os.path.getsize(index.path(f"versions/2/fine/{file}")) for file in files(index, 2))
    (left,) = summary.left
    assert left.startswith(f"{index.path('versions/8')} holds files that no build made")
    assert folders(index) == [2, 8]
    assert collections(index) == sorted([f"{name}_frames_mine", "reelsift_000000000000_v1", *of(index, 2)])
    check_whole(index)


def test_what_no_manifest_names_goes_from_versions_that_stay(two, index):
    store = version_store(index, 2)
    before = store.names("fine"), store.names("")
    for name in ("fine/shard-00000.r9.bin", "fine/.shard-00001.bin.77.88.part", "tasks.r9.txt"):
        store.write(name, b"left")
    collect_garbage(index, 2)
    assert (store.names("fine", hidden=True), store.names("")) == before
    check_whole(index)


def test_what_a_killed_build_left_goes_too(two, index):
    collection = read_manifest(index, 1).collection.replace("_v1", "_v3")
    vectors = VectorStore.open("lite", index.root)
    vectors.create(collection, 8)
    vectors.close()
    mark(index, 3, "lite", collection)
    Store(index.path("versions/3")).write("fine/shard-00000.bin", b"part")
    assert collect_garbage(index, 2).leftovers == [3]
    assert (folders(index), collections(index)) == ([1, 2], of(index, 1, 2))
    assert not version_store(index, 3).exists(MARKER)


def test_a_copy_that_went_on_in_the_same_milvus_stops_it(two, index):
    foreign = read_manifest(index, 1).collection.replace("_v1", "_v3")
    vectors = VectorStore.open("lite", index.root)
    vectors.create(foreign, 8)
    vectors.close()
    with pytest.raises(IndexCorruptError, match=rf"^[^\n]*{foreign} [^\n]* copy of the index\? Nothing was removed"):
        collect_garbage(index, 0)
    assert version_numbers(index) == [1, 2]
    assert foreign in collections(index)


def test_a_version_whose_milvus_is_away_stays_and_is_named(five, index):
    away = f"http://{LOOPBACK}:{free_ports(1)[0]}"
    manifest = read_manifest(index, 1).model_copy(update={"milvus": away})
    index.write("versions/1/manifest.json", manifest.model_dump_json().encode())
    summary = collect_garbage(index, 1)
    assert (summary.removed, summary.kept) == ([3], [1, 2, 4, 5])
    (left,) = summary.left
    assert left.startswith(f"version 1 stays, since its vectors cannot be removed (Milvus at {away} does not answer")
    assert folders(index) == [1, 2, 4, 5]


def test_a_manifest_that_does_not_parse_stops_it_before_anything_is_removed(five):
    five.write("versions/3/manifest.json", b"{")
    with pytest.raises(IndexCorruptError, match=r"3/manifest.json is damaged"):
        collect_garbage(five, 0)
    assert folders(five) == [1, 2, 3, 4, 5]
    assert len(collections(five)) == 10


def test_an_index_that_does_not_exist_is_not_made(index):
    with pytest.raises(IndexMissingError, match="holds no index"):
        collect_garbage(index, 1)
    assert not os.path.exists(index.root)


def test_removal_is_only_of_what_the_shards_are_named_as():
    assert garbage._SHARD.fullmatch("shard-00000.bin")
    assert not garbage._SHARD.fullmatch("shard-00000.bin.bak")
