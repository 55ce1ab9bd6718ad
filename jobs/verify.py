"""reelsift verify: whether tables and an index are whole."""

import sys
from collections.abc import Sequence

from jobs.cli import EXIT_DONE, EXIT_FAILED, CommandParser, print_json, run_command
from jobs.progress import progress_lines
from pipeline.verify.run import verify
from schemas.config import VerifyConfig
from schemas.results import VerifyReport

_SHOWN = 100


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    parser = CommandParser(
        "verify",
        "Read all of TABLES, and the published version of an index, and name what is not as it should be.",
        "reelsift verify --tables tables/ --index index/",
    )
    parser.add_argument("--tables", metavar="URI", help="folder or s3://bucket/prefix of the tables")
    parser.add_argument("--index", metavar="URI", help="an index made of these tables (default: the tables alone)")
    return {"verify": parser}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0, or 1 when there are problems.
    """
    parser = parsers()["verify"]
    args = parser.parse_args(argv)
    config = VerifyConfig.of(parser.settings(args))
    report = verify(config, progress_lines("tasks checked"))
    print("\n".join(_lines(report)), flush=True)
    if args.json:
        print_json(report)
    return EXIT_DONE if report.ok else EXIT_FAILED


def _lines(report: VerifyReport) -> list[str]:
    lines = _some("problem", report.problems) + _some("orphan", report.orphans)
    index = f", index version {report.index_version}" if report.index_version else ""
    seen = f"{report.planned} planned sources, {report.objects} objects, {report.clips} clips{index}"
    seen += f", {report.pending} sources pending" if report.pending else ""
    counts = f"{len(report.problems)} problems" if report.problems else "ok"
    lines.append(f"{counts}: {seen}; {len(report.orphans)} orphans")
    return lines


def _some(what: str, texts: list[str]) -> list[str]:
    more = [f"{what}: and {len(texts) - _SHOWN} more (--json has all)"] if len(texts) > _SHOWN else []
    return [f"{what}: {text}" for text in texts[:_SHOWN]] + more


if __name__ == "__main__":
    sys.exit(run_command(main))
