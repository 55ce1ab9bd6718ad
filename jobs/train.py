"""reelsift train: captioned videos to a model bundle."""

import sys
from collections.abc import Sequence

from jobs.cli import EXIT_DONE, CommandParser, print_json, run_command
from pipeline.storage import is_remote
from schemas.training import TrainConfig, TrainSummary


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    parser = CommandParser(
        "train",
        "Train an EERCF model and store the best bundle in OUT; run it again to go on from its last checkpoint.",
        "reelsift train --data synthetic:1 --out run --config models/bundles/reelsift-tiny/recipe.yaml",
    )
    add = parser.add_argument
    add("--data", metavar="SPEC", help="synthetic:SEED, a folder with captions.jsonl, or NAME:FOLDER of a set")
    add("--out", metavar="DIR", help="folder or s3://bucket/prefix of checkpoints, metrics.jsonl and the bundle")
    add("--model", metavar="NAME", help="start from this model instead of the architecture in --config")
    add("--steps", type=int, metavar="N", help="steps of the optimiser")
    add("--workers", type=int, metavar="N", help="workers of Ray Train; 0 trains in this process (default 1)")
    return {"train": parser}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0."""
    parser = parsers()["train"]
    args = parser.parse_args(argv)
    config = TrainConfig.of(parser.settings(args))
    # Ray and torch take seconds to import; a wrong flag is told before.
    from pipeline.training.ray_job import train_job  # noqa: PLC0415

    summary = train_job(config)
    print(_report(summary), flush=True)
    if args.json:
        print_json(summary)
    return EXIT_DONE


def _report(summary: TrainSummary) -> str:
    resumed = f", of which {summary.resumed_from} were done before" if summary.resumed_from else ""
    lines = [
        f"{summary.steps} steps{resumed} in {summary.seconds:.1f} s; {summary.parameters:,} parameters",
        f"best at step {summary.best_step}: R@1 {summary.best_recall_1:.1f} on validation clips",
        f"bundle: {summary.bundle}; figures of every step: {summary.out}/metrics.jsonl",
    ]
    if summary.bad_videos:
        lines.append(f"{summary.bad_videos} videos could not be used; they and why: {summary.out}/bad_videos.jsonl")
    if is_remote(summary.bundle):
        lines.append(f"next: copy {summary.bundle} to a folder, whose path is the model's name")
    else:
        lines.append(f"next: reelsift extract --input VIDEOS --tables TABLES --model {summary.bundle}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_command(main))
