"""reelsift index update and delete: what changes versions that are there."""

from collections.abc import Iterator, Sequence

from jobs.cli import CommandParser, print_json
from schemas.index_config import DeleteConfig, UpdateConfig
from schemas.results import DeleteSummary, UpdateSummary

_SHOWN = 20


def change_parsers() -> tuple[CommandParser, CommandParser]:
    """The two commands, for the frozen list."""
    renew = CommandParser(
        "index update",
        "Bring a version up to date with the tables: add new videos, replace changed ones. Readers take it up.",
        "reelsift index update --tables tables/ --index index/",
    )
    renew.add_argument("--tables", metavar="URI", help="folder or s3://bucket/prefix of the tables")
    renew.add_argument("--version", metavar="N", type=int, help="default: the live one")
    erase = CommandParser(
        "index delete",
        "Delete the clips of videos from the tables and from all versions of an index. There is no way back.",
        "reelsift index delete --tables tables/ --index index/ --uri 's3://bucket/private/*' --dry-run",
    )
    erase.add_argument("--tables", metavar="URI", help="folder or s3://bucket/prefix of the tables")
    erase.add_argument("--video-id", metavar="ID", nargs="+", help="these ids, as the tables and answers have them")
    erase.add_argument(
        "--uri", metavar="URI", nargs="+", help="and these locations; * and ? stand for any text, any character"
    )
    erase.add_argument(
        "--where",
        metavar="EXPR",
        nargs="+",
        help="of those named, or of all where none is, only the videos that meet all of these, on the videos table: "
        "duration_s>600 or metadata.licence=none",
    )
    erase.add_argument(
        "--dry-run", action="store_const", const=True, dest="dry_run", help="say what would go, and change nothing"
    )
    return renew, erase


def update(parser: CommandParser, argv: Sequence[str]) -> None:
    """Run `index update`."""
    args = parser.parse_args(argv)
    config = UpdateConfig.of(parser.settings(args))
    # Not at the top: it brings the client of Milvus, for which `index list` should not wait.
    from pipeline.index.update import update_index  # noqa: PLC0415

    summary = update_index(config)
    print("\n".join(_update_lines(summary)), flush=True)
    if args.json:
        print_json(summary)


def delete(parser: CommandParser, argv: Sequence[str]) -> None:
    """Run `index delete`."""
    args = parser.parse_args(argv)
    config = DeleteConfig.of(parser.settings(args))
    # Not at the top, as above.
    from pipeline.index.delete import delete_videos  # noqa: PLC0415

    summary = delete_videos(config)
    print("\n".join(_delete_lines(summary)), flush=True)
    if args.json:
        print_json(summary)


def _update_lines(summary: UpdateSummary) -> Iterator[str]:
    if summary.finished:
        yield f"ended first what was cut short: {summary.finished}"
    if summary.tasks or summary.clips_removed:
        yield (
            f"version {summary.version} is at revision {summary.revision}: {summary.tasks} new tasks, "
            f"{summary.clips_added} clips added, {summary.clips_removed} removed; {summary.clips} clips in "
            f"{summary.shards} shards"
        )
    else:
        yield (
            f"version {summary.version} is up to date at revision {summary.revision}: {summary.clips} clips in "
            f"{summary.shards} shards"
        )


def _delete_lines(summary: DeleteSummary) -> Iterator[str]:
    verb = "would delete" if summary.dry_run else "deleted"
    if summary.unfinished_intent:
        yield "a change that was cut short would be ended first"
    if summary.dry_run:
        yield from summary.uris[:_SHOWN]
        if len(summary.uris) > _SHOWN:
            yield f"and {len(summary.uris) - _SHOWN} more (--json has all)"
    fresh = len(summary.uris) - summary.already
    if not fresh and not summary.clips:
        yield f"deleted already: {summary.already} videos; nothing was left to do"
        return
    versions = ", ".join(f"{clips} of version {number}" for number, clips in summary.clips_in_versions.items())
    kept = f"the index keeps {len(summary.versions)} versions" if summary.versions else "the index has no version"
    yield (
        f"{verb} {fresh} videos ({summary.already} more were deleted before): {summary.clips_in_tables} clips of the "
        f"tables, {versions or 'none of a version'} ({kept})"
    )
