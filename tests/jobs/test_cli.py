import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import BaseModel

from jobs.cli import CommandParser, print_json, run_command
from schemas.errors import PortTakenError, UsageError

ROOT = Path(__file__).resolve().parents[2]


class Answer(BaseModel):
    text: str


@pytest.fixture
def parser():
    made = CommandParser("try", "Try it.", "reelsift try --n 3")
    made.add_argument("--n", type=int)
    return made


@pytest.mark.parametrize("argv", [["--n", "x"], ["--m"], ["--n"], ["stray"]])
def test_wrong_flags_are_one_line_and_exit_2(parser, argv, capsys):
    assert run_command(lambda a: parser.parse_args(a) and 0, argv) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert "reelsift try --help" in err


def test_help_shows_the_example(parser, capsys):
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["--help"])
    assert end.value.code == 0
    assert "reelsift try --n 3" in capsys.readouterr().out


def test_flags_win_over_the_file_and_set_wins_over_flags(parser, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("n: 1\nother: 2\n")
    args = parser.parse_args(["--config", str(path), "--n", "5"])
    assert parser.settings(args) == {"n": 5, "other": 2}
    args = parser.parse_args(["--config", str(path), "--n", "5", "--set", "n=7"])
    assert parser.settings(args) == {"n": 7, "other": 2}


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("a\nb"), 2), (PortTakenError("p"), 1), (KeyboardInterrupt(), 130)]
)
def test_known_errors_are_one_line_with_their_exit_code(error, code, capsys):
    def fail(_):
        raise error

    assert run_command(fail, []) == code
    assert capsys.readouterr().err.count("\n") == 1


def test_sigterm_ends_a_command_in_one_line_after_its_clean_up(capsys):
    cleaned = []

    def work(_):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            cleaned.append(True)

    before = signal.getsignal(signal.SIGTERM)
    try:
        assert run_command(work, []) == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    assert cleaned == [True]
    assert capsys.readouterr().err == "reelsift: ended by SIGTERM; run the same command again to go on\n"


def test_a_bug_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda _: 1 // 0, [])


def test_json_is_one_line(capsys):
    print_json(Answer(text="a\nb ü"))
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == {"text": "a\nb ü"}


@pytest.mark.parametrize(("redirect", "code"), [("| true", 0), ("> /dev/full", 1), (">&-", 0)])
def test_a_stdout_that_cannot_be_written_is_no_traceback(redirect, code):
    command = (
        "import sys, time; from jobs.cli import run_command; "
        "sys.exit(run_command(lambda _: time.sleep(1) or print('x' * 99999) or 0, []))"
    )
    done = subprocess.run(
        f'{sys.executable} -c "{command}" {redirect}', shell=True, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1
