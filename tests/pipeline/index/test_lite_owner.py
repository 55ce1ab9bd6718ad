"""Milvus Lite serves one process a directory; the others must get their answers all the same."""

import errno
import json
import os
import socket
import subprocess
import threading

import numpy as np
import pytest

from pipeline.index import lite_owner
from pipeline.index.index_choice import FLAT
from pipeline.index.lite_owner import OWNER_FILE
from pipeline.index.vector_store import VectorStore
from schemas.errors import VectorStoreError
from tests.pipeline.index.processes import OWN, end, running
from tests.pipeline.index.test_vector_store import DIM, rows_of
from tests.tables_factory import unit

SEARCH = """
import sys, time
import numpy as np
from pipeline.index.vector_store import VectorStore
store = VectorStore.open("lite", sys.argv[1])
query = np.zeros((1, 16), np.float32)
query[0, 3] = 1
print("ready", flush=True)
answers = {tuple(hit.clip_id for hit in store.search("a", query, 5)[0]) for _ in range(40)}
store.close()
print(sorted(answers))
"""


@pytest.fixture
def root(tmp_path):
    """An index directory with one loaded collection, closed."""
    store = VectorStore.open("lite", str(tmp_path))
    store.create("a", DIM)
    store.insert("a", rows_of(unit(np.random.default_rng(1), 60, DIM)))
    store.flush_and_load("a", FLAT)
    store.close()
    return tmp_path


@pytest.fixture
def query():
    vector = np.zeros((1, DIM), np.float32)
    vector[0, 3] = 1
    return vector


def answer(store, query):
    return tuple(hit.clip_id for hit in store.search("a", query, 5)[0])


def test_a_closed_directory_leaves_no_owner_behind(root):
    assert not (root / OWNER_FILE).exists()
    assert root not in lite_owner._served


def test_a_second_process_asks_the_first_one(root, query):
    with running(OWN, root) as owner:
        guest = VectorStore.open("lite", str(root))
        assert json.loads((root / OWNER_FILE).read_text())["pid"] == owner.pid
        assert len(answer(guest, query)) == 5
        guest.close()
        end(owner)
    assert not (root / OWNER_FILE).exists()


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_guest_takes_over_when_the_owner_is_gone(root, query, how, capfd):
    with running(OWN, root) as owner:
        guest = VectorStore.open("lite", str(root))
        before = answer(guest, query)
        if how == "killed":
            owner.kill()
            owner.wait(30)
        else:
            end(owner)
        assert answer(guest, query) == before
        assert guest.count("a") == 60
    assert root in lite_owner._served
    guest.close()
    assert capfd.readouterr() == ("", "")


def test_searches_under_way_in_many_threads_outlive_the_owner(root, query):
    with running(OWN, root) as owner:
        guest = VectorStore.open("lite", str(root))
        expected = answer(guest, query)
        found, halfway = [], threading.Barrier(5)

        def work():
            found.append(answer(guest, query))
            halfway.wait()
            found.extend(answer(guest, query) for _ in range(10))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        halfway.wait()
        owner.kill()
        for thread in threads:
            thread.join()
    assert found == [expected] * 44
    guest.close()


def test_two_processes_search_at_once_and_see_the_same(root, query):
    mine = VectorStore.open("lite", str(root))
    with running(SEARCH, root) as one, running(SEARCH, root) as two:
        expected = answer(mine, query)
        # The owner leaves in the middle; one of the others must follow it.
        mine.close()
        for other in (one, two):
            out, _ = other.communicate(timeout=120)
            assert other.returncode == 0
            assert out.strip() == str([expected])


def test_rows_acknowledged_by_an_owner_that_was_killed_are_kept(root, query):
    with running(OWN, root) as owner:
        guest = VectorStore.open("lite", str(root))
        guest.insert("a", rows_of(unit(np.random.default_rng(2), 40, DIM), first=1000))
        owner.kill()
        owner.wait(30)
        assert guest.count("a") == 100
    guest.close()


def test_an_insert_is_tried_again_at_the_next_owner(root):
    with running(OWN, root) as owner:
        guest = VectorStore.open("lite", str(root))
        owner.kill()
        owner.wait(30)
        guest.insert("a", rows_of(unit(np.random.default_rng(2), 40, DIM), first=1000))
        assert guest.count("a") == 100
    guest.close()


@pytest.mark.parametrize(
    "stale",
    [
        b"",
        b"{",
        b"[]",
        json.dumps({"uri": "http://127.0.0.1:1", "pid": 1, "host": "elsewhere"}).encode(),
    ],
)
def test_an_owner_file_of_the_past_does_not_matter(root, query, stale):
    (root / OWNER_FILE).write_bytes(stale)
    store = VectorStore.open("lite", str(root))
    assert len(answer(store, query)) == 5
    store.close()


def test_the_address_of_a_dead_owner_is_never_used(root, query, monkeypatch):
    ended = subprocess.Popen(["true"])
    ended.wait()
    with socket.create_server(("127.0.0.1", 0)) as stranger, running(OWN, root):
        uri = f"http://127.0.0.1:{stranger.getsockname()[1]}"
        true_owner = (root / OWNER_FILE).read_text()
        (root / OWNER_FILE).write_text(json.dumps({"uri": uri, "pid": ended.pid, "host": socket.gethostname()}))
        monkeypatch.setattr(lite_owner, "_OWNER_WAIT_S", 0.5)
        with pytest.raises(VectorStoreError, match=r"milvus.db is locked by a process that does not answer[^\n]*$"):
            VectorStore.open("lite", str(root))
        (root / OWNER_FILE).write_text(true_owner)
        guest = VectorStore.open("lite", str(root))
        assert len(answer(guest, query)) == 5
        guest.close()


def test_stores_of_one_process_share_the_directory_until_the_last_one_closes(root, query):
    first, second = VectorStore.open("lite", str(root)), VectorStore.open("lite", str(root))
    first.close()
    first.close()
    assert len(answer(second, query)) == 5
    second.close()
    assert root not in lite_owner._served


def test_a_place_that_is_no_directory_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(VectorStoreError, match=r"^cannot open .*file/milvus.db: [^\n]*$"):
        VectorStore.open("lite", str(tmp_path / "file"))


def test_a_folder_that_cannot_be_written_is_named_and_left_free(root, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(lite_owner, "_publish", full)
        with pytest.raises(VectorStoreError, match=rf"into {root}: No space[^\n]*$"):
            VectorStore.open("lite", str(root))
    VectorStore.open("lite", str(root)).close()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_may_only_be_read_is_told_with_the_way_out(tmp_path, number):
    line = lite_owner._cannot_open(tmp_path, OSError(number, os.strerror(number), str(tmp_path / "milvus.db")))
    assert line.startswith(f"cannot open {tmp_path / 'milvus.db'}: ")
    assert "may write to, with some room, for searches too; or use a server" in line
    assert "may write to" not in lite_owner._cannot_open(tmp_path, OSError(errno.EIO, "broken"))
