"""reelsift plan: what an extraction would take, from a sample; it writes nothing."""

import sys
from collections.abc import Sequence

from jobs.cli import EXIT_DONE, CommandParser, print_json, run_command
from jobs.status import readable_bytes
from schemas.run_estimate import PlanConfig, RunEstimate


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    parser = CommandParser(
        "plan",
        "Estimate what 'reelsift extract' would take, from a sample of the inputs; it writes nothing.",
        "reelsift plan --input s3://bucket/videos --clips fixed:10 --sample 20",
    )
    add = parser.add_argument
    add("--input", metavar="URI", action="append", help="file, folder, glob, s3:// prefix or manifest; repeatable")
    add("--clips", metavar="RULE", help="whole | fixed:SECONDS | scenes | scenes:THRESHOLD")
    add("--sampling", metavar="KIND", help="exact | fast")
    add("--model", metavar="NAME", help="shipped name, model folder, ARCH/TAG or ARCH@FILE of open_clip")
    add("--sample", metavar="N", type=int, help="videos to decode and encode (default 8)")
    return {"plan": parser}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = parsers()["plan"]
    args = parser.parse_args(argv)
    config = PlanConfig.of(parser.settings(args))
    from pipeline.run_estimate import estimate_run  # noqa: PLC0415  (torch takes seconds to import)

    estimate = estimate_run(config, lambda line: print(f"reelsift: {line}", file=sys.stderr, flush=True))
    print("\n".join(f"{name:<12} {value:>12} {note}".rstrip() for name, value, note in _lines(estimate)), flush=True)
    if args.json:
        print_json(estimate)
    return EXIT_DONE


def _lines(found: RunEstimate) -> list[tuple[str, str, str]]:
    device = "GPU-hours" if found.encode_device == "cuda" else "core-hours, on the CPU of this machine"
    return [
        (
            "sources",
            f"{found.sources:,}",
            f"of which {found.filtered:,} are filtered by name, in {found.tasks:,} tasks",
        ),
        ("input", readable_bytes(found.source_bytes), ""),
        ("sample", f"{found.sampled:,}", f"videos, {100 * found.quarantined_share:.0f} % of them bad"),
        ("video", f"{found.video_hours:,.2f}", "hours"),
        ("clips", f"{found.clips:,}", f"of model {found.model_id}"),
        ("decode", f"{found.decode_core_hours:,.2f}", "core-hours"),
        ("encode", f"{found.encode_hours:,.2f}", device),
        ("tables", readable_bytes(found.table_bytes), ""),
        ("requests", f"{found.reads + found.writes + found.lists:,}", _requests(found)),
        ("listing", readable_bytes(found.listing_bytes), "of the driver's memory"),
    ]


def _requests(found: RunEstimate) -> str:
    return (
        f"{found.reads:,} reads and {found.lists:,} lists of inputs, {found.writes:,} writes if tables are in a store"
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
