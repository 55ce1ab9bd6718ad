"""The report of equal files and nearly equal clips, against a plain loop over all pairs."""

import numpy as np
import pytest

from jobs.duplicates import main
from pipeline.near_duplicates import find_duplicates
from pipeline.storage import Store
from schemas.config import DuplicatesConfig
from tests.tables_damage import change_row, change_rows, quarantine, tasks
from tests.tables_factory import make_tables


@pytest.fixture
def store(tmp_path):
    """Ten videos of three clips; some clips have nearly the vector of another one."""
    store = Store(str(tmp_path / "tables"))
    made = make_tables(store, num_videos=10)
    rng = np.random.default_rng(4)
    first = np.array(made.clips[0]["coarse"])

    def near(rows):
        for row, noise in zip(rows[1:4], (0.02, 0.05, 0.3), strict=True):
            vector = first + noise * rng.standard_normal(len(first))
            row["coarse"] = (vector / np.linalg.norm(vector)).astype(np.float32).tolist()

    for task in tasks(store)[1:3]:
        change_rows(store, f"clips/{task}.parquet", near)
    return store


def plain_pairs(store, threshold, within):
    rows = []
    for task in tasks(store):
        change_rows(store, f"clips/{task}.parquet", rows.extend)
    pairs = {}
    for number, a in enumerate(rows):
        for b in rows[number + 1 :]:
            cosine = float(np.dot(a["coarse"], b["coarse"]))
            if cosine >= threshold and (within or a["video_id"] != b["video_id"]):
                pairs[frozenset((a["clip_id"], b["clip_id"]))] = cosine
    return pairs


@pytest.mark.parametrize("block", [4, 7, 4096])
@pytest.mark.parametrize("within", [False, True])
def test_every_pair_above_the_threshold_is_found_once(store, block, within):
    config = DuplicatesConfig(tables=store.root, threshold=0.9, within_videos=within)
    found = find_duplicates(config, block=block)
    expected = plain_pairs(store, 0.9, within)
    ours = {frozenset((pair.a.clip_id, pair.b.clip_id)): pair.similarity for pair in found.pairs}
    assert len(expected) > 5
    assert ours == pytest.approx(expected, abs=1e-5)
    assert (found.pairs_found, found.clips, found.videos) == (len(expected), 30, 10)
    cosines = [pair.similarity for pair in found.pairs]
    assert cosines == sorted(cosines, reverse=True)


@pytest.mark.parametrize("block", [4, 4096])
def test_the_most_similar_pairs_are_told_and_all_are_counted(store, block):
    every = find_duplicates(DuplicatesConfig(tables=store.root, threshold=0.5))
    some = find_duplicates(DuplicatesConfig(tables=store.root, threshold=0.5, pairs=3), block=block)
    assert some.pairs == every.pairs[:3]
    assert some.pairs_found == every.pairs_found == len(every.pairs)


def test_files_of_one_hash_are_a_group_whatever_became_of_them(store):
    first, second, third, *_ = tasks(store)
    for task, row in ((first, 0), (second, 1), (third, 0)):
        change_row(store, f"videos/{task}.parquet", row, content_sha256="a" * 64)
    change_row(store, f"videos/{first}.parquet", 1, content_sha256="b" * 64)
    quarantine(store, third, 0, "timeout")
    (group,) = find_duplicates(DuplicatesConfig(tables=store.root)).same_content
    assert group == [f"/videos/s0-{number:04d}.mp4" for number in sorted(_numbers(store, "a" * 64))]


def _numbers(store, sha256):
    rows = []
    for task in tasks(store):
        change_rows(store, f"videos/{task}.parquet", rows.extend)
    return [int(row["uri"][-8:-4]) for row in rows if row["content_sha256"] == sha256]


def test_the_command_tells_groups_and_pairs(store, capsys):
    assert main(["--tables", store.root, "--threshold", "0.9", "--json"]) == 0
    *lines, summary, as_json = capsys.readouterr().out.splitlines()
    assert summary.startswith("0 groups of equal files; ")
    assert all(line.startswith(("0.9", "1.0")) and line.endswith(" s") for line in lines)
    assert '"pairs_found"' in as_json


def test_tables_without_clips_have_no_pairs(tmp_path):
    store = Store(str(tmp_path / "tables"))
    make_tables(store, num_videos=1)
    quarantine(store, tasks(store)[0], 0, "timeout")
    found = find_duplicates(DuplicatesConfig(tables=store.root))
    assert (found.clips, found.pairs, found.same_content) == (0, [], [])
