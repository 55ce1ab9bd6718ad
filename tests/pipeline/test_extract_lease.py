import dataclasses
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.extract_lease import LEASE, STALE_S, TERMS, is_driven, only_driver, refuse_second_driver
from pipeline.lease import Holder
from pipeline.storage import Store
from schemas.errors import StorageError

ELSEWHERE = Holder(host="node-7", boot_id="other", pid=41, started=5.0, since=1_700_000_000.0, renewed=0.0)


def write(store, holder):
    store.write(LEASE, holder.to_bytes())


def stored(store):
    return Holder.of(store.read(LEASE))


@pytest.fixture
def tables(tmp_path):
    return Store(str(tmp_path / "tables"))


def test_the_lease_is_there_while_it_is_held_and_gone_after(tables):
    with only_driver(tables):
        assert stored(tables).same(Holder.me())
    assert not tables.exists(LEASE)


def test_a_second_driver_is_refused_in_one_line_that_says_who(tables):
    write(tables, dataclasses.replace(ELSEWHERE, renewed=time.time() - 7))
    with pytest.raises(StorageError) as caught, only_driver(tables):
        pytest.fail("it got in")
    for text in (str(tables.root), "node-7", "process 41", "2023-11-14T22:13:20+00:00", "7 s ago"):
        assert text in str(caught.value)
    assert stored(tables).host == "node-7"


def test_a_live_process_of_this_host_is_refused_however_old_its_last_sign(tables):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        started = psutil.Process(other.pid).create_time()
        write(tables, dataclasses.replace(Holder.me(), pid=other.pid, started=started, renewed=0.0))
        with pytest.raises(StorageError, match=f"process {other.pid}"), only_driver(tables):
            pytest.fail("it got in")
        other.kill()
        other.wait()
        with only_driver(tables):  # at once: nobody waits for a limit on the host where it died
            assert stored(tables).same(Holder.me())


def test_another_process_with_the_number_of_a_dead_one_keeps_nobody_out(tables):
    write(tables, dataclasses.replace(Holder.me(), started=Holder.me().started - 100))
    with only_driver(tables):
        assert stored(tables).same(Holder.me())


@pytest.mark.parametrize("data", [b"", b"{}", b"not JSON"])
def test_what_is_no_lease_is_replaced(tables, data):
    tables.write(LEASE, data)
    with only_driver(tables):
        assert stored(tables).same(Holder.me())


def test_a_driver_of_another_host_that_fell_silent_is_replaced(tables):
    write(tables, dataclasses.replace(ELSEWHERE, renewed=time.time() - STALE_S - 1))
    with only_driver(tables):
        assert stored(tables).same(Holder.me())


def test_a_lease_that_another_took_meanwhile_is_left_alone(tables):
    with only_driver(tables):
        write(tables, ELSEWHERE)
    assert stored(tables) == ELSEWHERE


def test_it_works_in_an_object_store(s3_server, s3_env):
    tables = Store(f"s3://{s3_server.bucket}/lease")
    write(tables, dataclasses.replace(ELSEWHERE, renewed=time.time()))
    with pytest.raises(StorageError, match="node-7"), only_driver(tables):
        pytest.fail("it got in")
    write(tables, ELSEWHERE)
    with only_driver(tables):
        assert stored(tables).same(Holder.me())
    assert not tables.exists(LEASE)


def test_it_is_renewed_while_held(tables):
    with only_driver(tables, dataclasses.replace(TERMS, renew_s=0.01)):
        first = stored(tables).renewed
        end = time.monotonic() + 30
        while stored(tables).renewed == first and time.monotonic() < end:
            time.sleep(0.01)
        assert stored(tables).renewed > first
        assert stored(tables).since == pytest.approx(first)


def test_what_would_refuse_is_told_before_anything_is_made_ready(tables):
    refuse_second_driver(tables)
    assert not is_driven(tables)
    with only_driver(tables):
        assert is_driven(tables)
    write(tables, dataclasses.replace(ELSEWHERE, renewed=time.time()))
    assert is_driven(tables)
    with pytest.raises(StorageError, match="node-7"):
        refuse_second_driver(tables)
    write(tables, ELSEWHERE)  # without a sign of life for long
    refuse_second_driver(tables)
    assert stored(tables) == ELSEWHERE
