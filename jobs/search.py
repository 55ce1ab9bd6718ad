"""`reelsift search`: one text against a published index."""

import shutil
import sys
from collections.abc import Mapping, Sequence

import torch
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.cli import EXIT_DONE, CommandParser, print_json, run_command
from pipeline.ranking import clean_query
from pipeline.search import Searcher
from schemas.config import SearchConfig
from schemas.filters import parse_filter
from schemas.http import MAX_K
from schemas.results import SearchHit, SearchResult

_COLUMNS = ("rank", "score", "clip", "span", "best", "file")
_NUMBERS = {"rank", "score", "best"}
_GAP = 2
_MIN_FILE_WIDTH = 8
_ROWS = 25  # of a terminal; nothing here is laid out by it


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    parser = CommandParser(
        "search", "Rank the clips of a published index for a text.", 'reelsift search "a red star" --index demo/index'
    )
    parser.add_argument("query", help="the text")
    parser.add_argument("--index", metavar="URI", help="the index")
    parser.add_argument("--k", type=int, metavar="N", help=f"how many clips to show (default 10, at most {MAX_K})")
    parser.add_argument(
        "--recall-k", type=int, metavar="N", help=f"how many candidates are reranked (default 50, at most {MAX_K})"
    )
    parser.add_argument(
        "--recall",
        metavar="MODE",
        help="coarse | frames | both: how candidates are found (default: both, if the index has frame vectors)",
    )
    parser.add_argument(
        "--filter",
        metavar="JSON",
        help='which clips may come, such as \'{"field": "duration_s", "op": ">=", "value": 2}\'',
    )
    return {"search": parser}


def printable(text: str) -> str:
    r"""Text with what would move a terminal's cursor made visible.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def cells(hit: SearchHit) -> tuple[str, ...]:
    """One row of the table, in the order of its columns."""
    best = "-" if hit.best_s is None else f"{hit.best_s:.2f} s"
    score = f"{hit.score:.4f}" if hit.stage == "fine" else f"({hit.score:.4f})"
    span = f"{hit.start_s:.2f}-{hit.end_s:.2f} s"
    return (str(hit.rank), score, hit.clip_id, span, best, printable(hit.uri))


def plain_table(hits: Sequence[SearchHit]) -> str:
    """Aligned text of full width, for a pipe or a file."""
    rows = [_COLUMNS, *(cells(hit) for hit in hits)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = []
    for row in rows:
        padded = [
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(_COLUMNS, row, widths, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def rich_table(hits: Sequence[SearchHit]) -> Table:
    """The table for a terminal: paths are folded to the width that is left, ids and numbers never."""
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    rows = [cells(hit) for hit in hits]
    for i, name in enumerate(_COLUMNS[:-1]):
        width = max(len(name), *(len(row[i]) for row in rows))
        table.add_column(name, no_wrap=True, min_width=width, justify="right" if name in _NUMBERS else "left")
    table.add_column(_COLUMNS[-1], overflow="fold", min_width=_MIN_FILE_WIDTH)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def fits(hits: Sequence[SearchHit], width: int) -> bool:
    """Whether the table can be drawn without cutting an id; else a terminal folds the plain lines itself."""
    rows = [_COLUMNS, *(cells(hit) for hit in hits)]
    fixed = sum(max(cell_len(row[i]) for row in rows) + _GAP for i in range(len(_COLUMNS) - 1))
    return fixed + _MIN_FILE_WIDTH <= width


def show(result: SearchResult, *, narrowed: bool = False) -> None:
    """Print a result for a person."""
    if not result.hits:
        print(f"no clips: {'none passes the filter' if narrowed else 'the published version is empty'}")
    elif sys.stdout.isatty() and fits(result.hits, width := shutil.get_terminal_size().columns):
        # With both sizes given, also a terminal that calls itself dumb is as wide as it is, not 80 columns.
        Console(width=width, height=_ROWS, highlight=False).print(rich_table(result.hits))
    else:
        print(plain_table(result.hits))
    if any(hit.stage == "coarse" for hit in result.hits):
        print("(scores in brackets: coarse, beyond --recall-k)")
    print(f"index version {result.version}, recall {result.recall}; ms: {stages(result.timings_ms)}", flush=True)


def stages(timings_ms: Mapping[str, float]) -> str:
    """Times of the stages, the parts of one in brackets behind it.

    >>> stages({"recall": 9.0, "recall_frames": 5.0, "recall_coarse": 3.0, "total": 9.5})
    'recall 9.0 (frames 5.0, coarse 3.0), total 9.5'
    """
    told = []
    for name, ms in timings_ms.items():
        parts = [f"{part[len(name) + 1 :]} {t:.1f}" for part, t in timings_ms.items() if part.startswith(f"{name}_")]
        if name.split("_")[0] == name:
            told.append(f"{name} {ms:.1f}" + (f" ({', '.join(parts)})" if len(parts) > 1 else ""))
    return ", ".join(told)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = parsers()["search"]
    args = parser.parse_args(argv)
    settings = parser.settings(args)
    query = clean_query(str(settings.pop("query")))
    config = SearchConfig.of(settings)
    narrowed = None if config.filter is None else parse_filter(config.filter)
    # As in a replica: one thread is as fast for one text, and gives the same bits.
    torch.set_num_threads(1)
    searcher = Searcher.open(config.index)
    try:
        result = searcher.search(query, config.k, config.recall_k, config.recall, narrowed)
    finally:
        searcher.close()
    show(result, narrowed=narrowed is not None)
    if args.json:
        print_json(result)
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(run_command(main))
