import os
import time

import pytest

from pipeline.leftover_parts import sweep_parts
from pipeline.storage import Store


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "clips").mkdir()
    return tmp_path


def put(path, age_s):
    path.write_bytes(b"x")
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def test_the_part_of_a_killed_write_is_removed_and_all_else_stays(tables):
    dead = put(tables / "clips" / ".ab.parquet.41.7.part", 7200)
    stays = [
        put(tables / "clips" / ".cd.parquet.42.7.part", 60),  # may be under way
        put(tables / "clips" / "ab.parquet", 7200),
        put(tables / "clips" / ".hidden", 7200),
        put(tables / "clips" / "mine.part", 7200),
        put(tables / ".ab.parquet.41.7.part", 7200),  # in no folder of these tables
    ]
    assert sweep_parts(Store(str(tables))) == 1
    assert not dead.exists()
    assert all(path.exists() for path in stays)


def test_a_write_that_ends_well_leaves_nothing_to_sweep(tables):
    store = Store(str(tables))
    store.write("clips/ab.parquet", b"whole")
    assert sweep_parts(store) == 0
    assert store.read("clips/ab.parquet") == b"whole"
