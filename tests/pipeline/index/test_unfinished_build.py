"""What a build that was killed, failed or came second leaves, and who clears it away."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.index.build_lock import only_build
from pipeline.index.switch import publish
from pipeline.index.unfinished import MARKER, mark
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import live_version, version_numbers, version_store
from pipeline.storage import Store
from schemas.errors import StorageError
from tests.pipeline.index.built import both, collections, folders, opened
from tests.pipeline.index.processes import OWN, ROOT, running

# Ends itself as kill -9 would, after so many clips.
KILLED_BUILD = """
import os, signal, sys
from pipeline.index.build import build_index
from schemas.index_config import IndexConfig

def progress(done, total, doing):
    if done >= int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

build_index(IndexConfig(tables=sys.argv[1], index=sys.argv[2], batch_rows=5), progress)
"""

HELD_INDEX = """
import sys
from pipeline.index.build_lock import only_build
from pipeline.storage import Store
with only_build(Store(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("clips", [8, 12])
def test_what_a_killed_build_left_is_removed_and_the_next_build_is_whole(build, tables, index, tmp_path, clips):
    argv = [sys.executable, "-c", KILLED_BUILD, str(tmp_path / "tables"), index.root, str(clips)]
    killed = subprocess.run(argv, cwd=ROOT, check=False, timeout=120, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert folders(index) == ["1"]
    assert version_numbers(index) == []
    left = collections(index)
    assert len(left) == 2
    summary = build()
    assert (summary.version, summary.clips) == (1, 12)
    assert collections(index) == both(summary.collection)
    _, vectors, fine = opened(index)
    assert vectors.count(summary.collection) == 12
    fine.close()
    vectors.close()
    assert publish(index).live


@pytest.mark.parametrize("which", [0, 1])
def test_a_folder_that_a_killed_milvus_lite_left_without_its_schema_is_removed(build, index, tables, which):
    first = build()
    # What stands there after a kill between the folder of a collection and its schema.
    name = both(first.collection.replace("_v1", "_v2"))[which]
    mark(index, 2, "lite", first.collection.replace("_v1", "_v2"))
    remains = Path(index.path("milvus.db")) / "collections" / name
    remains.mkdir()
    assert (build().version, remains.is_dir()) == (2, True)
    assert collections(index) == sorted([*both(first.collection), *both(first.collection.replace("_v1", "_v2"))])


def test_a_failed_build_leaves_nothing_and_the_live_version_stays(build, index):
    build()
    publish(index)

    def fail(done, total, doing):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(fail)
    assert folders(index) == ["1"]
    assert len(collections(index)) == 2
    assert live_version(index) == 1


def test_a_folder_that_no_build_marked_is_not_touched_and_its_number_not_used(build, index):
    os.makedirs(index.path("versions/4/fine"))
    Store(index.path("versions/4")).write("notes.txt", b"mine")
    assert build().version == 5
    assert Store(index.path("versions/4")).read("notes.txt") == b"mine"


def test_a_build_killed_after_its_manifest_is_complete(build, index):
    build()
    version_store(index, 1).write(MARKER, json.dumps({"milvus": "lite", "collection": "x"}).encode())
    assert build().version == 2
    assert version_numbers(index) == [1, 2]
    assert not version_store(index, 1).exists(MARKER)


def test_a_second_build_at_the_same_time_is_refused_in_one_line(build, index):
    with (
        only_build(index),
        pytest.raises(StorageError, match=r"^another build, update, delete or gc is writing [^\n]*$"),
    ):
        build()
    assert build().version == 1


def test_a_build_in_another_process_is_waited_for_only_as_long_as_that_process_lives(build, index):
    with running(HELD_INDEX, index.root) as holder:
        with pytest.raises(StorageError, match=r"^another build, update, delete or gc is writing [^\n]*$"):
            build()
        holder.kill()
        holder.wait(30)
        assert build().version == 1


def test_a_build_outlives_the_process_that_owned_milvus_lite(build, index):
    Store(index.root).write("index.json", b'{"id": "abc"}')
    with running(OWN, index.root) as owner:
        said = []

        def progress(done, total, doing):
            if not said:
                said.append(done)
                owner.kill()
                owner.wait(30)

        summary = build(progress)
    assert summary.clips == 12
    vectors = VectorStore.open("lite", index.root)
    assert vectors.count(summary.collection) == 12
    vectors.close()


def test_what_a_killed_build_left_on_another_milvus_is_removed_there(build, index, milvus_server):
    vectors = VectorStore.open(milvus_server, index.root)
    vectors.create("reelsift_left_behind_v1", 8)
    vectors.create_frames("reelsift_left_behind_v1_frames", 8)
    version_store(index, 1).write(
        MARKER, json.dumps({"milvus": milvus_server, "collection": "reelsift_left_behind_v1"}).encode()
    )
    assert build().version == 1
    assert not set(both("reelsift_left_behind_v1")) & set(vectors.collections())
    vectors.close()
