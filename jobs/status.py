"""reelsift status: how far an extraction is, and how its sources ended."""

import sys
from collections.abc import Sequence

from jobs.cli import EXIT_DONE, CommandParser, print_json, run_command
from pipeline.status import status_of
from pipeline.storage import Store
from schemas.config import StatusConfig
from schemas.results import StatusSummary
from schemas.tables import FILTERED_REASONS

_KIB = 1024


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    parser = CommandParser(
        "status",
        "Show how the planned sources of TABLES ended and how many are left; also while an extraction runs.",
        "reelsift status --tables tables/",
    )
    parser.add_argument("--tables", metavar="URI", help="folder or s3://bucket/prefix of the tables")
    return {"status": parser}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = parsers()["status"]
    args = parser.parse_args(argv)
    config = StatusConfig.of(parser.settings(args))
    status = status_of(Store(config.tables))
    print("\n".join(f"{name:<12} {value:>10}{note}" for name, value, note in _lines(status)), flush=True)
    if args.json:
        print_json(status)
    return EXIT_DONE


def _lines(status: StatusSummary) -> list[tuple[str, str, str]]:
    def share(count: int) -> str:
        return f"  {100 * count / status.planned:5.1f} %"

    lines = [("planned", f"{status.planned:,}", "")]
    lines.append(("done", f"{status.done:,}", share(status.done)))
    lines.append(("filtered", f"{status.filtered:,}", share(status.filtered)))
    lines += [line for reason, line in _reasons(status) if reason in FILTERED_REASONS]
    lines.append(("quarantined", f"{status.quarantined:,}", share(status.quarantined)))
    lines += [line for reason, line in _reasons(status) if reason not in FILTERED_REASONS]
    lines.append(("pending", f"{status.pending:,}", share(status.pending) + _left(status)))
    lines.append(("clips", f"{status.clips:,}", ""))
    lines.append(("video", f"{status.video_hours:,.2f}", " hours" + _speed(status)))
    lines.append(("sources", readable_bytes(status.source_bytes), " of done videos"))
    if status.sources_a_minute:
        lines.append(("pace", f"{status.sources_a_minute:,.1f}", " sources a minute, over the newest commits"))
    return lines


def _reasons(status: StatusSummary) -> list[tuple[str, tuple[str, str, str]]]:
    return [(reason, (f"  {reason}", f"{count:,}", "")) for reason, count in status.reasons.items()]


def _left(status: StatusSummary) -> str:
    if not status.pending or not status.sources_a_minute:
        return ""
    return f"  (about {status.pending / status.sources_a_minute:,.0f} minutes at that pace)"


def _speed(status: StatusSummary) -> str:
    if not status.decode_hours:
        return ""
    return f", {status.video_hours / status.decode_hours:,.1f} times real time a decoder"


def readable_bytes(count: int) -> str:
    """Bytes for people.

    >>> readable_bytes(999), readable_bytes(5 << 20)
    ('999 B', '5.0 MiB')
    """
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= _KIB and len(units) > 1:
        size, units = size / _KIB, units[1:]
    return f"{size:.0f} B" if units[0] == "B" else f"{size:.1f} {units[0]}"


if __name__ == "__main__":
    sys.exit(run_command(main))
