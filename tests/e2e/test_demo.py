"""The demo, as a newcomer meets it."""

import hashlib

import pytest
from PIL import Image

from tests.e2e.cli import run


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "out"
    ran = run("demo", "--out", out, "--videos", "6", "--json", REELSIFT_SETUP_SECONDS="42")
    assert ran.code == 0, ran.err
    return out, ran


def test_it_shows_tables_a_sheet_the_time_split_and_what_to_try_next(demo):
    out, ran = demo
    assert "installation 42 s" in ran.out
    assert ran.out.count("rank ") >= ran.json["queries"] >= 1
    for command in ("search", "serve", "extract"):
        assert any(f" {command} " in line for line in ran.out.split("try next:")[1].splitlines())
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > 500
        assert len(sheet.getcolors(1 << 20)) > 1000
    # The shipped model knows what it is asked: six generated clips and some real ones are few to choose from.
    assert ran.json["found_first"] == ran.json["queries"]
    assert ran.json["clips"] >= 7  # generated ones and at least one real clip


def test_a_second_run_changes_nothing(demo):
    out, first = demo

    def digests():
        kept = [path for path in sorted(out.rglob("*")) if path.is_file() and "milvus" not in str(path)]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}

    before = digests()
    again = run("demo", "--out", out, "--videos", "6", "--json")
    assert again.code == 0, again.err
    assert "0 videos decoded" in again.out
    assert again.json["clips"] == first.json["clips"]
    assert digests() == before


def test_a_wrong_setting_is_one_line(tmp_path):
    run("demo", "--out", tmp_path, "--videos", "0").assert_one_line_error(2, "videos")
    run("demo", "--out", tmp_path, REELSIFT_SETUP_SECONDS="x").assert_one_line_error(2, "REELSIFT_SETUP_SECONDS")
