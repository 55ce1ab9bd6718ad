"""reelsift demo: the whole path on sample videos, with nothing but this machine."""

import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from jobs.cli import EXIT_DONE, CommandParser, print_json, run_command
from jobs.search import show
from models.registry import UNTRAINED
from pipeline.demo import DemoOutcome, run_demo
from schemas.config import DemoConfig
from schemas.errors import ConfigError
from schemas.results import Result


class DemoSummary(Result):
    """What --json prints."""

    clips: int
    queries: int
    found_first: int
    contact_sheet: str
    index: str
    setup_s: float
    work_s: float


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    parser = CommandParser(
        "demo",
        "Sample videos to ranked answers: extract, index, publish, search, contact sheet. Run again, it goes on.",
        "reelsift demo --out demo",
    )
    parser.add_argument("--out", metavar="DIR", help="local folder for all that it makes (default demo)")
    parser.add_argument("--videos", metavar="N", type=int, help="generated videos (default 24)")
    parser.add_argument("--model", metavar="NAME", help="what embeds them")
    return {"demo": parser}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0, or that of the step that failed."""
    parser = parsers()["demo"]
    args = parser.parse_args(argv)
    config = DemoConfig.of(parser.settings(args))
    setup_s = _setup_seconds()
    start = time.monotonic()
    outcome = run_demo(config, lambda line: print(line, flush=True))
    _show(outcome, config)
    work_s = time.monotonic() - start
    print(f"\ntime: installation {setup_s:.0f} s, work {work_s:.0f} s")
    if args.json:
        print_json(_summary(outcome, setup_s, work_s))
    return EXIT_DONE


def _setup_seconds() -> float:
    text = os.environ.get("REELSIFT_SETUP_SECONDS", "0")
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"REELSIFT_SETUP_SECONDS = {text!r} is no number of seconds") from None


def _summary(outcome: DemoOutcome, setup_s: float, work_s: float) -> DemoSummary:
    return DemoSummary(
        clips=outcome.clips,
        queries=len(outcome.answers),
        found_first=sum(query.rank_in(result) == 1 for query, result in outcome.answers),
        contact_sheet=str(outcome.places.sheet),
        index=str(outcome.places.index),
        setup_s=setup_s,
        work_s=round(work_s, 3),
    )


def _show(outcome: DemoOutcome, config: DemoConfig) -> None:
    print(f"5/5 search   {len(outcome.answers)} queries against {outcome.clips} clips, model {outcome.model_id}")
    for query, result in outcome.answers:
        print(f"\n“{query.text}”")
        show(result)
        rank = query.rank_in(result)
        print(f"written for {query.file_name}: " + (f"rank {rank}" if rank else f"not among the first {config.k}"))
    if config.model in UNTRAINED:
        print(f"\nmodel {config.model} has random weights: the path is real, but the ranking means nothing")
    index, text = outcome.places.index, outcome.answers[0][0].text
    print(f"\ncontact sheet: {outcome.places.sheet}")
    print("\ntry next:")
    command = _command()
    print(f"  {command} search {shlex.quote(text)} --index {shlex.quote(str(index))}")
    print(f"  {command} serve --index {shlex.quote(str(index))}")
    print(f"  {command} extract --input YOUR_VIDEOS --tables my-tables")


def _command() -> str:
    """How this shell reaches the console command: by name, or by its path where the environment is not active."""
    if shutil.which("reelsift"):
        return "reelsift"
    script = Path(sys.executable).parent / "reelsift"
    if not script.exists():
        return f"{sys.executable} -m jobs.reelsift"
    return str(script.relative_to(Path.cwd())) if script.is_relative_to(Path.cwd()) else str(script)


if __name__ == "__main__":
    sys.exit(run_command(main))
