"""reelsift index: build, publish, update, roll back, list and remove versions, delete videos, and choose a codec."""

import sys
import time
from collections.abc import Callable, Sequence

from jobs.cli import EXIT_DONE, CommandParser, print_json, run_command
from jobs.index_changes import change_parsers, delete, update
from jobs.index_estimate import estimate_parser, run_estimate
from jobs.index_lines import gc_lines, version_line
from pipeline.index.presence import pointer_trouble, require_index
from pipeline.index.switch import rollback
from pipeline.index.versions import list_versions
from pipeline.storage import Store
from schemas.codecs import CODECS
from schemas.errors import UsageError
from schemas.index_config import CodecsConfig, GcConfig, IndexConfig, IndexListConfig, PublishConfig, RollbackConfig
from schemas.results import IndexList

_PROGRESS_EVERY_S = 5.0


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    build, switch, back, gc = _build_parser(), _publish_parser(), _rollback_parser(), _gc_parser()
    show = CommandParser("index list", "Show the versions of an index.", "reelsift index list --index index/")
    renew, erase = change_parsers()
    for parser in (build, switch, show, back, gc, renew, erase):
        parser.add_argument("--index", metavar="URI", help="folder or s3://bucket/prefix of the index")
    found = (build, _codecs_parser(), switch, back, renew, erase, show, gc, estimate_parser())
    return {parser.prog.removeprefix("reelsift "): parser for parser in found}


def _build_parser() -> CommandParser:
    parser = CommandParser(
        "index build",
        "Build the next version of an index from the tables; it answers searches once it is published.",
        "reelsift index build --tables tables/ --index index/",
    )
    parser.add_argument("--tables", metavar="URI", help="folder or s3://bucket/prefix of the tables")
    parser.add_argument("--milvus", metavar="URI", help="http://host:port (default: Milvus Lite inside a local index)")
    parser.add_argument(
        "--bulk-import",
        metavar="URI",
        dest="bulk_import",
        help="where that server reads files by itself, a path on its disk or s3:// with its bucket: rows are imported "
        "from Parquet files there, which is quicker for many (default: they are inserted)",
    )
    parser.add_argument(
        "--codec", metavar="NAME", help=f"{' | '.join(CODECS)}: how fine tokens are stored (default fp16)"
    )
    parser.add_argument(
        "--frames",
        metavar="WHEN",
        help="auto | yes | no: frame vectors, which find short moments (default auto: always on a server, and up to "
        "100,000 frames in Milvus Lite)",
    )
    parser.add_argument(
        "--index-type",
        metavar="TYPE",
        dest="index_type",
        help="auto | FLAT | HNSW | IVF_FLAT | IVF_SQ8 | IVF_RABITQ | DISKANN: of the vectors, where this Milvus has it "
        "(default auto: by their number, and by --set index_memory_gb=16)",
    )
    parser.add_argument(
        "--field",
        metavar="NAME:TYPE",
        action="append",
        dest="fields",
        help="int | float | bool | string: a metadata column that searches may be filtered by; repeatable",
    )
    return parser


def _codecs_parser() -> CommandParser:
    parser = CommandParser(
        "index codecs",
        "Try the ways to store fine tokens on your own clips, and name the smallest within a loss.",
        "reelsift index codecs --tables tables/ --data clips/",
    )
    parser.add_argument("--tables", metavar="URI", help="folder or s3://bucket/prefix of the tables")
    parser.add_argument(
        "--data", metavar="SPEC", help="captions of these clips, as for evaluate (default: queries made from the clips)"
    )
    parser.add_argument("--split", metavar="NAME", help="of the captions (default test)")
    parser.add_argument(
        "--codec", metavar="NAME", action="append", dest="codecs", help="to try; repeatable (default: one of each kind)"
    )
    parser.add_argument("--max-loss", metavar="POINTS", type=float, help="of R@1 against fp32 (default 0.3)")
    parser.add_argument("--clips", metavar="N", type=int, help="at most; they are held in memory (default 500)")
    return parser


def _publish_parser() -> CommandParser:
    parser = CommandParser(
        "index publish",
        "Check a version, and make it the one that answers searches; an older one can be published again.",
        "reelsift index publish --index index/ --version 2",
    )
    parser.add_argument("--version", metavar="N", type=int, help="default: the newest")
    parser.add_argument(
        "--canaries",
        metavar="FILE",
        help="texts, one a line: both the live version and this one answer them, and agreement is told (default: the "
        "vectors of some clips, where both are of one model)",
    )
    parser.add_argument(
        "--min-overlap",
        metavar="SHARE",
        type=float,
        dest="min_overlap",
        help="0 to 1: refuse a version of the same model whose ten best agree less with those of the live one",
    )
    parser.add_argument(
        "--evaluation", metavar="REPORT", help="report.json of reelsift evaluate with this model, for index list"
    )
    return parser


def _rollback_parser() -> CommandParser:
    parser = CommandParser(
        "index rollback",
        "Make the version live again that was live before; it is looked at as for publish.",
        "reelsift index rollback --index index/",
    )
    parser.add_argument("--version", metavar="N", type=int, help="another one than that")
    return parser


def _gc_parser() -> CommandParser:
    parser = CommandParser(
        "index gc",
        "Remove versions: all but the live one, the one live before it, and the newest; and what killed builds left.",
        "reelsift index gc --index index/ --keep 2 --dry-run",
    )
    parser.add_argument("--keep", metavar="N", type=int, help="the newest versions that stay in any case (default 2)")
    parser.add_argument(
        "--dry-run", action="store_const", const=True, dest="dry_run", help="say what would go, and change nothing"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the commands."""
    words = list(sys.argv[1:] if argv is None else argv)
    commands = {
        "build": _build,
        "codecs": _codecs,
        "publish": _publish,
        "rollback": _rollback,
        "update": update,
        "delete": delete,
        "list": _list,
        "gc": _gc,
        "estimate": run_estimate,
    }
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
    print(f"{version_line(summary)} in {time.monotonic() - started:.1f} s", flush=True)
    print(f"next: reelsift index publish --index {config.index} --version {summary.version}", flush=True)
    if args.json:
        print_json(summary)


def _codecs(parser: CommandParser, argv: Sequence[str]) -> None:
    args = parser.parse_args(argv)
    config = CodecsConfig.of(parser.settings(args))
    # Not at the top: it brings torch, for which `index list` should not wait.
    from pipeline.evaluation.codec_figures import compare_codecs  # noqa: PLC0415

    table = compare_codecs(config, lambda line: print(f"reelsift: {line}", file=sys.stderr, flush=True))
    print("codec         bytes a clip    R@1   R@10  rank corr.  same first  ms")
    for row in table.codecs:
        print(
            f"{row.codec:12} {row.bytes_per_clip:13} {row.recall_at_1:6.2f} {row.recall_at_10:6.2f} "
            f"{row.rank_correlation:11.4f} {row.same_first:10.2f}% {row.score_ms:5.2f}"
        )
    print(f"{table.clips} clips, {table.candidates} candidates; queries: {table.queries}")
    print(f"smallest within {table.max_loss:g} points of fp32's R@1: {table.choice}")
    print(f"next: reelsift index build --tables {config.tables} --index INDEX --codec {table.choice}", flush=True)
    if args.json:
        print_json(table)


def _publish(parser: CommandParser, argv: Sequence[str]) -> None:
    args = parser.parse_args(argv)
    config = PublishConfig.of(parser.settings(args))
    # Not at the top: canaries bring torch, for which `index list` should not wait.
    from pipeline.index.publication import publish_checked  # noqa: PLC0415

    summary = publish_checked(config, lambda line: print(line, flush=True))
    print(version_line(summary))
    print(f'next: reelsift search "a text" --index {config.index}', flush=True)
    if args.json:
        print_json(summary)


def _rollback(parser: CommandParser, argv: Sequence[str]) -> None:
    args = parser.parse_args(argv)
    config = RollbackConfig.of(parser.settings(args))
    summary = rollback(Store(config.index), config.version)
    if summary.replaced == summary.version:
        print(f"version {summary.version} is live already: nothing changed")
    else:
        print(f"rolled back from version {summary.replaced} to version {summary.version}")
    print(version_line(summary), flush=True)
    if args.json:
        print_json(summary)


def _gc(parser: CommandParser, argv: Sequence[str]) -> None:
    args = parser.parse_args(argv)
    config = GcConfig.of(parser.settings(args))
    # Not at the top: it brings the client of Milvus, for which `index list` should not wait.
    from pipeline.index.garbage import collect_garbage  # noqa: PLC0415

    summary = collect_garbage(Store(config.index), config.keep, dry_run=config.dry_run)
    for line in gc_lines(summary):
        print(line)
    sys.stdout.flush()
    if args.json:
        print_json(summary)


def _list(parser: CommandParser, argv: Sequence[str]) -> None:
    args = parser.parse_args(argv)
    config = IndexListConfig.of(parser.settings(args))
    index = Store(config.index)
    versions = list_versions(index)
    require_index(index)
    for summary in versions:
        print(version_line(summary))
    if trouble := pointer_trouble(index):
        print(trouble, flush=True)
    elif not versions:
        print(f"no versions; next: reelsift index build --tables TABLES --index {config.index}", flush=True)
    if args.json:
        print_json(IndexList(versions=versions))


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
