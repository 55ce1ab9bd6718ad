"""reelsift extract: videos to tables of embeddings."""

import sys
from collections.abc import Sequence

from jobs.cli import EXIT_DONE, EXIT_TOO_MANY_BAD, CommandParser, print_json, run_command
from schemas.config import ExtractConfig
from schemas.results import ExtractSummary


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    parser = CommandParser(
        "extract",
        "Decode videos and write their embeddings to TABLES; run it again to resume or to add new videos.",
        "reelsift extract --input videos/ --input s3://bucket/more --tables tables/",
    )
    add = parser.add_argument
    add("--input", metavar="URI", action="append", help="file, folder, glob, s3:// prefix or manifest; repeatable")
    add("--tables", metavar="URI", help="folder or s3://bucket/prefix of the tables")
    add("--clips", metavar="RULE", help="whole | fixed:SECONDS | scenes | scenes:THRESHOLD")
    add("--sampling", metavar="KIND", help="exact | fast (near key frames; tables of the two do not mix)")
    add("--identity", metavar="KIND", help="uri | content (files of equal bytes are decoded and encoded once)")
    add("--model", metavar="NAME", help="shipped name, model folder, ARCH/TAG or ARCH@FILE of open_clip")
    add("--max-bad-fraction", metavar="X", type=float, help="exit 3 above this fraction of quarantined videos")
    return {"extract": parser}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0, or 3 when more than --max-bad-fraction of the videos are quarantined.
    """
    parser = parsers()["extract"]
    args = parser.parse_args(argv)
    config = ExtractConfig.of(parser.settings(args))
    # Ray and torch take seconds to import; a wrong flag is told before.
    from pipeline.extraction import extract, too_many_bad  # noqa: PLC0415

    summary = extract(config)
    print(_report(summary, config), flush=True)
    if args.json:
        print_json(summary)
    return EXIT_TOO_MANY_BAD if too_many_bad(summary, config.max_bad_fraction) else EXIT_DONE


def _report(summary: ExtractSummary, config: ExtractConfig) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in summary.reasons.items())
    lines = [
        f"{summary.processed} sources processed in {summary.seconds:.1f} s"
        + (" (nothing new: all were committed before)" if not summary.processed else ""),
        f"tables: {summary.done} done, {summary.filtered} filtered, {summary.quarantined} quarantined"
        f" of {summary.planned}; {summary.clips} clips of model {summary.model_id}",
    ]
    if reasons:
        lines.append(f"not done: {reasons} (columns reason and detail of {config.tables.rstrip('/')}/videos)")
    following = f"next: reelsift index build --tables {config.tables} --index INDEX"
    # Some were committed before this run: there may be an index of them already.
    lines.append(following + (", or index update" if summary.processed < summary.planned else ""))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_command(main))
