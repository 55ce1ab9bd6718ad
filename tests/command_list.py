"""All commands and flags, from the jobs. To renew: `python -m tests.command_list > tests/commands.txt`."""

import argparse
import importlib
import sys
from pathlib import Path

from jobs.reelsift import COMMANDS

FROZEN = Path(__file__).with_name("commands.txt")


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of every command, by the command as it is typed.

    Every job module of `jobs.reelsift.COMMANDS` gives its own as `parsers()`.
    """
    found: dict[str, argparse.ArgumentParser] = {}
    for name in COMMANDS:
        own = importlib.import_module(f"jobs.{name}").parsers()
        strangers = [command for command in own if command.split()[0] != name]
        if strangers:
            raise AssertionError(f"jobs.{name} answers for {strangers}")
        found.update(own)
    return found


def lines() -> list[str]:
    """One line a command, then one line for each of its arguments."""
    listed = []
    for command, parser in sorted(parsers().items()):
        listed.append(command)
        for action in parser._actions:
            shown = "|".join(action.option_strings) or action.dest.upper()
            takes = f" {action.metavar or action.dest.upper()}" if action.option_strings and action.nargs != 0 else ""
            again = " ..." if isinstance(action, argparse._AppendAction) or action.nargs in ("*", "+") else ""
            listed.append(f"  {shown}{takes}{again}")
    return listed


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
