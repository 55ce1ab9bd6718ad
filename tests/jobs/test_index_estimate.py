"""The figures of docs/sizing.md are those of the command."""

import json
import re
from pathlib import Path

import pytest

from jobs import index as job
from jobs.cli import run_command

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sizing.md"
SHOWN = re.findall(r"```sh\nreelsift (index estimate .*)\n```\n\n```text\n((?:.*\n)*?)```\n", PAGE.read_text())


def test_the_page_shows_a_million_a_hundred_and_a_thousand_million():
    assert [re.search(r"--clips (\d+)", command)[1] for command, _ in SHOWN] == ["1000000", "100000000", "1000000000"]


@pytest.mark.parametrize(("command", "text"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_page_shows_what_the_command_prints(command, text, capsys):
    assert run_command(job.main, command.split()[1:]) == 0
    assert capsys.readouterr().out == text


def test_people_and_programs_are_told_the_same(capsys):
    assert run_command(job.main, ["estimate", "--clips", "1000", "--dim", "64", "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert lines[0].startswith(f"1,000 clips, codec fp16: {found['record_bytes']:,} bytes a record")
    assert (found["coarse"]["rows"], found["frames"]["rows"], found["coarse"]["chosen"]) == (1000, 12_000, "FLAT")


@pytest.mark.parametrize(("argv", "says"), [((), "'clips' is missing"), (("--clips", "0"), "'clips' = 0")])
def test_what_a_user_does_wrong_is_one_line(argv, says, capsys):
    assert run_command(job.main, ["estimate", *argv]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.err.count("\n") == 1
