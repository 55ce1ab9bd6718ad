"""The console command `reelsift COMMAND ...`: finds the job and runs it. Importing it loads no job."""

import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from jobs.cli import EXIT_DONE, run_command
from schemas.errors import UsageError

COMMANDS: Final = {
    "extract": "videos in, tables of embeddings out; run it again to go on where it stopped",
    "plan": "what an extraction would take, from a sample; writes nothing",
    "status": "how far an extraction is, and how its sources ended",
    "retry": "make quarantined sources pending again",
    "verify": "check that tables, and an index, are whole",
    "duplicates": "files of equal content, and clips that are nearly equal",
    "index": "build, publish, update, roll back and remove versions of an index; delete videos",
    "search": "rank the clips of an index for a text",
    "serve": "answer searches over HTTP",
    "evaluate": "figures of a model on captioned videos: recall, cost, and a page that shows them",
    "train": "train a model on captioned videos; run it again to go on where it stopped",
    "model": "import a checkpoint of the public EERCF code, or show what a model is made of",
    "data": "make captioned videos, or copy the sample clips",
    "demo": "all of the above on sample videos, with nothing but this machine",
}


def usage() -> str:
    """The text of `reelsift --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {about}" for name, about in COMMANDS.items()]
    return "\n".join(
        [
            "usage: reelsift COMMAND [ARGUMENT ...]",
            "",
            "Finds the video clip that a text describes.",
            "",
            *lines,
            "",
            "  reelsift COMMAND --help    flags and an example",
            "  reelsift --version",
            "",
            "exit codes: 0 done; 1 the job failed; 2 wrong usage; 3 done, but with too many quarantined videos",
        ]
    )


def _version() -> str:
    try:
        return version("reelsift")
    except PackageNotFoundError:
        # A cluster gets the working directory, which runs without being installed.
        return "(not installed)"


def dispatch(argv: Sequence[str]) -> int:
    """Run the command that `argv` begins with.

    Raises:
        UsageError: no command, or an unknown one.
    """
    if not argv:
        raise UsageError(f"no command; one of: {', '.join(COMMANDS)} (see reelsift --help)")
    command, *rest = argv
    if command in ("-h", "--help"):
        print(usage())
        return EXIT_DONE
    if command == "--version":
        print(f"reelsift {_version()}")
        return EXIT_DONE
    if command not in COMMANDS:
        raise UsageError(f"unknown command {command!r}; one of: {', '.join(COMMANDS)} (see reelsift --help)")
    # Only the job that runs is imported: --help must not wait for torch and ray.
    job = importlib.import_module(f"jobs.{command}")
    code: int = job.main(rest)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script; the exit code is the job's."""
    return run_command(dispatch, argv)


if __name__ == "__main__":
    sys.exit(main())
