import json
import subprocess
import sys

import pytest

from jobs.cli import run_command
from jobs.data import main

SMALL = ["--videos", "2", "--set", "size_px=32", "--set", "min_seconds=4"]


def run(*argv):
    return run_command(main, [str(word) for word in argv])


def test_make_tells_what_it_made_and_what_to_do_next(tmp_path, capsys):
    assert run("make", "--out", tmp_path / "set", *SMALL) == 0

    first, second, *examples, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"made 2 videos in {tmp_path}/set/videos in ")
    assert second == f"6 captions in {tmp_path}/set/captions.jsonl, such as"
    captions = [json.loads(line)["caption"] for line in (tmp_path / "set" / "captions.jsonl").read_text().splitlines()]
    assert [line.strip() for line in examples] == captions[:2]
    assert last == f"next: reelsift extract --input {tmp_path}/set/videos --tables {tmp_path}/set-tables"


def test_make_again_says_that_there_is_nothing_to_do(tmp_path, capsys):
    run("make", "--out", tmp_path, *SMALL)
    capsys.readouterr()

    assert run("make", "--out", tmp_path, *SMALL, "--json") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("nothing to do: all 2 videos are in ")
    summary = json.loads(out[-1])
    assert (summary["videos"], summary["made"], summary["kept"], summary["queries"]) == (2, 0, 2, 6)


def test_a_conflict_is_one_line_and_exit_code_2(tmp_path, capsys):
    run("make", "--out", tmp_path, *SMALL)
    capsys.readouterr()

    assert run("make", "--out", tmp_path, *SMALL, "--seed", "5") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "seed=0, not seed=5" in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "no subcommand"),
        (("bake",), "unknown subcommand 'bake'"),
        (("make",), "setting 'out' is missing"),
        (("make", "--out", "x", "--videos", "many"), "invalid int value: 'many'"),
        (("make", "--out", "x", "--videos", "0"), "setting 'videos' = 0"),
        (("make", "--out", "x", "--set", "colour=red"), "unknown setting 'colour'"),
        (("samples",), "setting 'out' is missing"),
        (("samples", "--out", "s3://bucket/x"), "local folder"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(argv, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert run(*argv) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--help"], ["make", "--help"], ["samples", "--help"]])
def test_help_shows_an_example(words):
    done = subprocess.run([sys.executable, "-m", "jobs.data", *words], capture_output=True, text=True, check=True)

    assert "example:\n  reelsift data " in done.stdout


def test_samples_without_any_source_fail_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [])

    assert run("samples", "--out", tmp_path / "real", "--set", f"cache={tmp_path / 'cache'}") == 1
    assert capsys.readouterr().err.startswith("reelsift: error: no sample clip can be had: ")
