"""reelsift index: build, publish and list the versions of an index."""

import sys
import time
from collections.abc import Callable, Sequence

from jobs.cli import EXIT_DONE, CommandParser, print_json, run_command
from pipeline.index.versions import list_versions, publish
from pipeline.storage import Store
from schemas.config import IndexConfig, IndexListConfig, PublishConfig
from schemas.errors import UsageError
from schemas.results import IndexList, IndexSummary

_PROGRESS_EVERY_S = 5.0


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    build = CommandParser(
        "index build",
        "Build the next version of an index from the tables; it answers searches once it is published.",
        "reelsift index build --tables tables/ --index index/",
    )
    build.add_argument("--tables", metavar="URI", help="folder or s3://bucket/prefix of the tables")
    build.add_argument("--milvus", metavar="URI", help="http://host:port (default: Milvus Lite inside a local index)")
    build.add_argument("--codec", metavar="NAME", help="fp16 | fp32: how fine tokens are stored (default fp16)")
    build.add_argument(
        "--frames",
        metavar="WHEN",
        help="auto | yes | no: frame vectors, which find short moments (default auto: always on a server, and up to "
        "100,000 frames in Milvus Lite)",
    )
    show = CommandParser("index list", "Show the versions of an index.", "reelsift index list --index index/")
    switch = CommandParser(
        "index publish",
        "Make a version the one that answers searches; an older one can be published again.",
        "reelsift index publish --index index/ --version 2",
    )
    switch.add_argument("--version", metavar="N", type=int, help="default: the newest")
    for parser in (build, switch, show):
        parser.add_argument("--index", metavar="URI", help="folder or s3://bucket/prefix of the index")
    return {"index build": build, "index publish": switch, "index list": show}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the commands."""
    words = list(sys.argv[1:] if argv is None else argv)
    commands = {"build": _build, "publish": _publish, "list": _list}
    if words[:1] in (["-h"], ["--help"]):
        for parser in parsers().values():
            print(parser.format_help())
        return EXIT_DONE
    if not words or words[0] not in commands:
        found = f"unknown command 'index {words[0]}'" if words else "no command"
        raise UsageError(f"{found}; one of: index {', index '.join(commands)} (see reelsift index --help)")
    commands[words[0]](parsers()[f"index {words[0]}"], words[1:])
    return EXIT_DONE


def _build(parser: CommandParser, argv: Sequence[str]) -> None:
    args = parser.parse_args(argv)
    config = IndexConfig.of(parser.settings(args))
    # Not at the top: the model it looks at brings torch, for which `index list` should not wait.
    from pipeline.index.build import build_index  # noqa: PLC0415

    started = time.monotonic()
    summary = build_index(config, _reporter(), lambda line: print(line, flush=True))
    print(f"{_line(summary)} in {time.monotonic() - started:.1f} s", flush=True)
    print(f"next: reelsift index publish --index {config.index} --version {summary.version}", flush=True)
    if args.json:
        print_json(summary)


def _publish(parser: CommandParser, argv: Sequence[str]) -> None:
    args = parser.parse_args(argv)
    config = PublishConfig.of(parser.settings(args))
    summary = publish(Store(config.index), config.version)
    print(_line(summary))
    print(f'next: reelsift search "a text" --index {config.index}', flush=True)
    if args.json:
        print_json(summary)


def _list(parser: CommandParser, argv: Sequence[str]) -> None:
    args = parser.parse_args(argv)
    config = IndexListConfig.of(parser.settings(args))
    versions = list_versions(Store(config.index))
    for summary in versions:
        print(_line(summary))
    if not versions:
        print(f"no versions; next: reelsift index build --tables TABLES --index {config.index}", flush=True)
    if args.json:
        print_json(IndexList(versions=versions))


def _line(summary: IndexSummary) -> str:
    state = "live" if summary.live else "not live"
    frames = f"{summary.frame_rows} frame vectors" if summary.frame_rows else "no frame vectors"
    return (
        f"version {summary.version} ({state}): {summary.clips} clips of model {summary.model_id}, {frames}, codec "
        f"{summary.codec}, {summary.bytes_per_clip} bytes a clip, collection {summary.collection}"
    )


def _reporter() -> Callable[[int, int, str], None]:
    started = last = time.monotonic()

    def report(done: int, total: int, doing: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_EVERY_S:
            last = now
            pace = done / (now - started)
            print(f"reelsift: {done}/{total} clips, {pace:.0f}/s: {doing}", file=sys.stderr, flush=True)

    return report


if __name__ == "__main__":
    sys.exit(run_command(main))
