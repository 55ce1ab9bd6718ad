"""The commands and their flags are what users' scripts hold on to: they change by a decision, seen in a diff."""

import subprocess
import sys

import pytest

from jobs import reelsift
from jobs.cli import EXIT_DONE, EXIT_USAGE
from tests.command_list import FROZEN, lines, parsers


def test_commands_and_flags_are_the_frozen_ones():
    renew = "to change them on purpose: python -m tests.command_list > tests/commands.txt"
    assert lines() == FROZEN.read_text().splitlines(), renew


def test_every_command_has_help_with_an_example():
    for command, parser in parsers().items():
        text = parser.format_help()
        assert f"reelsift {command}" in text.split("example:")[1], command
        assert parser.description.endswith("."), command


def test_every_flag_is_explained():
    for command, parser in parsers().items():
        assert [action.dest for action in parser._actions if not action.help] == [], command


def test_help_lists_every_command(capsys):
    assert reelsift.main(["--help"]) == EXIT_DONE
    printed = capsys.readouterr().out
    assert [name for name in reelsift.COMMANDS if f"\n  {name} " not in printed] == []


def test_version_is_the_installed_one(capsys):
    assert reelsift.main(["--version"]) == EXIT_DONE
    assert capsys.readouterr().out.startswith("reelsift 0.")


@pytest.mark.parametrize("argv", [["extrakt"], [], ["--tables", "x"]])
def test_wrong_use_is_one_line_and_exit_code_2(argv, capsys):
    assert reelsift.main(argv) == EXIT_USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("reelsift: error: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("command", list(reelsift.COMMANDS))
def test_an_unknown_flag_is_one_line_and_exit_code_2(command, capsys):
    words = next(known for known in parsers() if known.split()[0] == command).split()
    assert reelsift.main([*words, "--no-such-flag"]) == EXIT_USAGE
    assert capsys.readouterr().err.count("\n") == 1


def test_help_loads_neither_torch_nor_ray():
    check = (
        "import sys; from jobs import reelsift; reelsift.main(['--help']);"
        "sys.exit(' '.join({'torch', 'ray', 'pyarrow'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
