"""reelsift retry: quarantined sources get another try."""

import sys
from collections.abc import Sequence

from jobs.cli import EXIT_DONE, CommandParser, print_json, run_command
from pipeline.retry import retry
from schemas.config import RetryConfig
from schemas.tables import PASSING_REASONS


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    parser = CommandParser(
        "retry",
        "Make quarantined sources pending again; the next extract on these tables does them.",
        "reelsift retry --tables tables/ --reason timeout",
    )
    parser.add_argument("--tables", metavar="URI", help="folder or s3://bucket/prefix of the tables")
    parser.add_argument("--reason", metavar="R", help=f"this reason only (default: {', '.join(PASSING_REASONS)})")
    return {"retry": parser}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = parsers()["retry"]
    args = parser.parse_args(argv)
    config = RetryConfig.of(parser.settings(args))
    summary = retry(config)
    if summary.retried:
        counts = ", ".join(f"{count} {reason}" for reason, count in summary.reasons.items())
        print(f"{summary.retried} sources are pending again ({counts})")
        print(f"next: reelsift extract --input INPUT --tables {config.tables}", flush=True)
    else:
        wanted = config.reason or f"one of {', '.join(PASSING_REASONS)}"
        print(f"nothing to retry: no quarantined source has the reason {wanted}", flush=True)
    if args.json:
        print_json(summary)
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(run_command(main))
