"""reelsift duplicates: files that are the same, and clips that nearly are."""

import sys
from collections.abc import Sequence

from jobs.cli import EXIT_DONE, CommandParser, print_json, run_command
from jobs.progress import progress_lines
from pipeline.near_duplicates import find_duplicates
from schemas.config import DuplicatesConfig
from schemas.duplicates import DuplicateClip, Duplicates

_SHOWN = 20


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    parser = CommandParser(
        "duplicates",
        "Name files of equal content, and clips of different videos whose coarse vectors are nearly equal.",
        "reelsift duplicates --tables tables/ --threshold 0.95",
    )
    add = parser.add_argument
    add("--tables", metavar="URI", help="folder or s3://bucket/prefix of the tables")
    add("--threshold", metavar="X", type=float, help="least cosine of a pair (default: 0.98)")
    add("--pairs", metavar="N", type=int, help="pairs that are told, the most similar first (default: 1000)")
    add("--within-videos", action="store_true", default=None, help="compare clips of one video as well")
    return {"duplicates": parser}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = parsers()["duplicates"]
    args = parser.parse_args(argv)
    found = find_duplicates(DuplicatesConfig.of(parser.settings(args)), progress_lines("blocks compared"))
    print("\n".join(_lines(found)), flush=True)
    if args.json:
        print_json(found)
    return EXIT_DONE


def _lines(found: Duplicates) -> list[str]:
    lines = [f"same content: {', '.join(group)}" for group in found.same_content[:_SHOWN]]
    lines += [f"{pair.similarity:.4f}  {_clip(pair.a)}  {_clip(pair.b)}" for pair in found.pairs[:_SHOWN]]
    hidden = max(0, len(found.same_content) - _SHOWN) + max(0, len(found.pairs) - _SHOWN)
    lines += [f"and {hidden} more (--json has all)"] if hidden else []
    lines.append(
        f"{len(found.same_content)} groups of equal files; {found.pairs_found} pairs of clips at {found.threshold:g} "
        f"or above, among {found.clips} clips of {found.videos} videos"
    )
    return lines


def _clip(clip: DuplicateClip) -> str:
    return f"{clip.uri} {clip.start_s:.1f}-{clip.end_s:.1f} s"


if __name__ == "__main__":
    sys.exit(run_command(main))
