"""What all commands share: one-line usage errors, common flags, exit codes."""

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from pydantic import BaseModel

from pipeline.termination import raise_on_sigterm
from schemas.config_file import parse_set, read_config_file
from schemas.errors import ReelsiftError, TerminatedError, UsageError

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_TOO_MANY_BAD = 0, 1, 2, 3
_INTERRUPTED, _TERMINATED = 130, 143


class CommandParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, and whose --help ends with an example.

    Args:
        command: as the user types it behind `reelsift`, for example "index build".
        about: one sentence.
        example: one command line that works.
    """

    def __init__(self, command: str, about: str, example: str) -> None:
        super().__init__(
            prog=f"reelsift {command}",
            description=about,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--config", metavar="FILE", help="YAML file of settings; flags win over it")
        self.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="any setting, by name")
        self.add_argument("--json", action="store_true", help="print one JSON line last on stdout")

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError, so that every wrong use ends the same way."""
        raise UsageError(f"{message} (see {self.prog} --help)")

    def settings(self, args: argparse.Namespace) -> dict[str, Any]:
        """Merge --config, the flags that were given (None means not given), and --set."""
        common = {"config", "set", "json"}
        flags = {key: value for key, value in vars(args).items() if key not in common and value is not None}
        return {**(read_config_file(args.config) if args.config else {}), **flags, **parse_set(args.set)}


def print_json(result: BaseModel) -> None:
    """Print a result as one JSON line on stdout."""
    print(json.dumps(result.model_dump(), ensure_ascii=False), flush=True)


def run_command(command: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a command; turn errors that a user can act on into one line on stderr and an exit code.

    Anything else escapes with its traceback: that is a bug of ours, and should look like one.
    """
    if sys.stdout is None:  # the shell closed it: `>&-`
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (for the rest of the process)
    raise_on_sigterm()
    try:
        code = command(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader has what it wanted (`| head`); what was to be done is done or told elsewhere.
        _drop_stdout()
        return EXIT_FAILED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _drop_stdout()
        where = f"at {error.filename}" if isinstance(error.filename, str) else "for stdout or a temporary file"
        print(f"reelsift: error: no space left on device, {where}", file=sys.stderr, flush=True)
        return EXIT_FAILED
    except ReelsiftError as error:
        print(f"reelsift: error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return error.exit_code
    except TerminatedError:
        print("reelsift: ended by SIGTERM; run the same command again to go on", file=sys.stderr, flush=True)
        return _TERMINATED
    except KeyboardInterrupt:
        print("reelsift: interrupted; run the same command again to go on", file=sys.stderr, flush=True)
        return _INTERRUPTED


def _drop_stdout() -> None:
    # Python flushes once more at exit, and would complain again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
