"""reelsift evaluate: captioned videos and a model to retrieval figures, costs, and a page that shows them."""

import sys
from collections.abc import Sequence

from jobs.cli import EXIT_DONE, EXIT_TOO_MANY_BAD, CommandParser, print_json, run_command
from schemas.config import DEFAULT_MODEL
from schemas.evaluation import WAYS, EvaluateConfig, EvaluationReport, EvaluationSummary, GroupFigures, Slice
from schemas.recall import RECALL_MODES
from schemas.results import ExtractSummary

# Videos that could not be searched which are named on the terminal.
_NAMED = 5


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    parser = CommandParser(
        "evaluate",
        "Rank clips for captions and captions for clips, coarse, in two stages and exhaustively; report.html shows it.",
        "reelsift evaluate --data clips --model reelsift-tiny --out evaluation",
    )
    add = parser.add_argument
    add("--data", metavar="SPEC", help="FOLDER with captions.jsonl, or NAME:FOLDER of a published set")
    add("--out", metavar="DIR", help="local folder of the report; run again to go on")
    add("--model", metavar="NAME", help=f"as for extract (default {DEFAULT_MODEL})")
    add("--split", metavar="NAME", help="test | val (default test)")
    add("--recall", metavar="MODE", help=f"{' | '.join(RECALL_MODES)}: of the headline; all are swept (default both)")
    add("--recall-k", metavar="K", type=int, help="candidates of the headline; others are swept (default 50)")
    add("--dsl", action="store_const", const=True, help="also figures with dual softmax, offline only")
    return {"evaluate": parser}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0, or 3 when more than max_bad_fraction of the videos are quarantined.
    """
    parser = parsers()["evaluate"]
    args = parser.parse_args(argv)
    config = EvaluateConfig.of(parser.settings(args))
    # Ray and torch take seconds to import; a wrong flag is told before.
    from pipeline.evaluation.run import evaluate  # noqa: PLC0415
    from pipeline.extraction import too_many_bad  # noqa: PLC0415

    report, extracted = evaluate(config, lambda line: print(line, flush=True))
    summary = _summary(report, extracted, config)
    print(_told(report, summary), flush=True)
    if args.json:
        print_json(summary)
    return EXIT_TOO_MANY_BAD if too_many_bad(extracted, config.max_bad_fraction) else EXIT_DONE


def _summary(report: EvaluationReport, extracted: ExtractSummary, config: EvaluateConfig) -> EvaluationSummary:
    cost, ways, all_queries = report.cost, WAYS, _figures(report.overall, report.recall_k)
    return EvaluationSummary(
        queries=report.queries,
        clips=report.clips,
        t2v=all_queries.t2v,
        v2t=all_queries.v2t,
        macs={way: cost.macs[way] for way in ways} | {"ratio": cost.macs_ratio[report.recall]},
        seconds={way: round(cost.seconds[way], 9) for way in ways} | {"ratio": cost.seconds_ratio[report.recall]},
        groups={name: _figures(one, report.recall_k) for name, one in report.groups.items()},
        tags={
            tag: {value: _figures(one, report.recall_k) for value, one in values.items()}
            for tag, values in report.tags.items()
        },
        recall=report.recall,
        recall_k=report.recall_k,
        missing=report.absent.missing,
        quarantined=sum(report.absent.quarantined.values()),
        absent_captions=report.absent.captions,
        processed=extracted.processed,
        model_id=report.model_id,
        report=f"{config.out.rstrip('/')}/report.html",
    )


def _figures(one: Slice, k: int) -> GroupFigures:
    """The headline's ways, and two stages by every recall mode beside them."""
    by_mode = {f"two_stage_{mode}": one.sweep[mode][k] for mode in RECALL_MODES}
    by_mode_v2t = {f"two_stage_{mode}": one.v2t_sweep[mode][k] for mode in RECALL_MODES} if one.v2t_sweep else {}
    return GroupFigures(queries=one.queries, t2v=one.t2v | by_mode, v2t=(one.v2t or {}) | by_mode_v2t)


def _told(report: EvaluationReport, summary: EvaluationSummary) -> str:
    lines = [f"{report.queries} captions, {report.clips} clips, model {report.model_id}"]
    if report.absent.captions:
        lines.append(
            f"left out: {report.absent.captions} captions of {summary.missing} videos without a file and "
            f"{summary.quarantined} that cannot be decoded"
        )
        named = sorted(report.absent.names.items())
        lines += [f"  {name}: {reason}" for name, reason in named[:_NAMED]]
        lines += [f"  and {len(named) - _NAMED} more: see report.json"] if len(named) > _NAMED else []
    lines.append(f"{'text to video, R@1':<28}{'coarse':>8}{'two-stage':>11}{'exhaustive':>12}")
    for name, one in {"all": report.overall, **report.groups}.items():
        lines.append(_row(name, one))
    for tag, values in report.tags.items():
        lines += [_row(f"{tag} {value}", one) for value, one in values.items()]
    lines.append(
        f"two stages by recall: {report.recall}, k = {report.recall_k}: exhaustive costs {summary.macs['ratio']:.1f} "
        f"times the multiply-adds and took {summary.seconds['ratio']:.1f} times as long"
    )
    lines.append(f"report: {summary.report}")
    return "\n".join(lines)


def _row(name: str, one: Slice) -> str:
    coarse, two_stage, exhaustive = (one.t2v[way]["R@1"] for way in WAYS)
    return f"  {name:<26}{coarse:>8.1f}{two_stage:>11.1f}{exhaustive:>12.1f}"


if __name__ == "__main__":
    sys.exit(run_command(main))
