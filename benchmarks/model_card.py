"""The tables of a model card, as Markdown, out of the report of an evaluation.

reelsift evaluate --data FOLDER --model reelsift-tiny --out OUT --set probes=300
python -m benchmarks.model_card --report OUT/report.json
"""

import argparse
from pathlib import Path

from schemas.evaluation import EvaluationReport, Figures, Slice


def figures_cell(figures: Figures) -> str:
    """R@1, 10 and 50.

    >>> figures_cell({"R@1": 50.0, "R@10": 75.26, "R@50": 100.0})
    '50.0 / 75.3 / 100.0'
    """
    return " / ".join(f"{figures[name]:.1f}" for name in ("R@1", "R@10", "R@50"))


def retrieval_rows(name: str, one: Slice, k: int) -> str:
    """A row of the retrieval table, text to video."""
    ways = [one.t2v["coarse"], *(one.sweep[mode][k] for mode in ("coarse", "both")), one.t2v["exhaustive"]]
    return f"| {name} | {' | '.join(map(figures_cell, ways))} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", required=True, type=Path, help="report.json of reelsift evaluate")
    report = EvaluationReport.model_validate_json(parser.parse_args().report.read_text(encoding="utf-8"))
    k = report.recall_k
    print(f"{report.model_id}: {report.queries} captions, {report.clips} clips; R@1 / R@10 / R@50, k = {k}\n")
    print("| captions | coarse | two-stage, recall: coarse | two-stage, recall: both | exhaustive fine |")
    print("|---|---|---|---|---|")
    for name, one in report.groups.items() or {"all": report.overall}.items():
        print(retrieval_rows(name, one, k))
    for tag, values in report.tags.items():
        for value, one in values.items():
            print(retrieval_rows(f"{tag} {value}", one, k))
    if report.probes:
        print("\n| attribute | right |\n|---|---|")
        for attribute, percent in report.probes.items():
            print(f"| {attribute} | {percent:.1f} % |")


if __name__ == "__main__":
    main()
