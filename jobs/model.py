"""`reelsift model import | show`: checkpoints of the public code, and what a model is made of."""

import json
import sys
from collections.abc import Callable, Sequence

from jobs.cli import EXIT_DONE, CommandParser, print_json, run_command
from schemas.errors import UsageError
from schemas.model import ImportConfig, ModelSummary, ShowConfig

_USAGE = "reelsift model import FILE --out FOLDER | show NAME"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `model SUBCOMMAND`; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    commands: dict[str, Callable[[Sequence[str]], int]] = {"import": _import, "show": _show}
    if words and words[0] in ("-h", "--help"):
        print(f"usage: {_USAGE}\n\n  import  a checkpoint of the public EERCF code to a model folder")
        print("  show    architecture, sizes and id of a model\n\nexample:\n  reelsift model show random-tiny")
        return EXIT_DONE
    if not words or words[0] not in commands:
        said = f"unknown subcommand {words[0]!r}" if words else "no subcommand"
        raise UsageError(f"{said}; use {_USAGE} (see reelsift model --help)")
    return commands[words[0]](words[1:])


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    brought = CommandParser(
        "model import",
        "Turn a checkpoint that was trained with the public EERCF code into a model folder. No code in it is run.",
        "reelsift model import pytorch_model.bin.4 --out eercf-b32",
    )
    brought.add_argument("file", metavar="FILE", nargs="?", help="pytorch_model.bin.N")
    brought.add_argument("--out", metavar="FOLDER", help="the model folder to make; its name becomes the model's")
    brought.add_argument("--profile", metavar="NAME", help="reference (default) scores as the public code, or exact")
    brought.add_argument("--words", type=int, metavar="N", help="tokens a text is cut to, its --max_words (default 32)")
    show = CommandParser(
        "model show", "Print what a model is made of, and its id.", "reelsift model show models/bundles/random-tiny"
    )
    show.add_argument("model", metavar="NAME", nargs="?", help="as --model of the other commands takes it")
    return {"model import": brought, "model show": show}


def _import(argv: Sequence[str]) -> int:
    parser = parsers()["model import"]
    args = parser.parse_args(argv)
    config = ImportConfig.of(parser.settings(args))
    # torch takes seconds to import; a wrong flag is told before.
    from pipeline.model_bundles import import_model  # noqa: PLC0415

    summary = import_model(config)
    print(f"imported {config.file} into {config.out}")
    print(_told(summary))
    print(f"next: reelsift extract --input VIDEOS --tables TABLES --model {config.out}", flush=True)
    if args.json:
        print_json(summary)
    return EXIT_DONE


def _show(argv: Sequence[str]) -> int:
    parser = parsers()["model show"]
    args = parser.parse_args(argv)
    config = ShowConfig.of(parser.settings(args))
    from pipeline.model_bundles import show_model  # noqa: PLC0415

    summary = show_model(config)
    print(_told(summary))
    print(json.dumps(summary.config, indent=2, ensure_ascii=False), flush=True)
    if args.json:
        print_json(summary)
    return EXIT_DONE


def _told(summary: ModelSummary) -> str:
    shape = summary.token_shape
    parts = ", ".join(f"{part} {count:,}" for part, count in summary.parameters.items())
    return "\n".join(
        [
            f"model {summary.model_id}, profile {summary.profile}",
            f"{sum(summary.parameters.values()):,} parameters: {parts}",
            f"a clip: {shape.frames} frames, {shape.patches} patches a frame, {shape.dim} channels; "
            f"{summary.bytes_per_clip:,} bytes of fine tokens in fp16",
        ]
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
