"""One extraction as `reelsift extract` does it, with the moment at which its first task began.

python -m benchmarks.extract_run --input FOLDER --model NAME --tables FOLDER
"""

import argparse
import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from pipeline import extraction
from pipeline.stages.decode import DecodeStage
from schemas.config import ExtractConfig

# Workers of a Ray that this process starts get its environment.
_NOTE = "REELSIFT_BENCHMARK_NOTE"


class NotedDecodeStage(DecodeStage):
    """The stage itself; the very first call of a run leaves its time in a file."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Decode, after a note."""
        with contextlib.suppress(FileExistsError), open(os.environ[_NOTE], "x", encoding="ascii") as file:
            file.write(str(time.time()))
        return super().__call__(batch)


def main() -> None:
    """Extract, and print what came of it as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tables", required=True)
    args = parser.parse_args()
    note = Path(f"{args.tables}.began")
    os.environ[_NOTE] = str(note)
    extraction.DecodeStage = NotedDecodeStage  # type: ignore[misc]
    summary = extraction.extract(ExtractConfig(input=[args.input], tables=args.tables, model=args.model))
    # The last commit is the last write of a task, before Ray is shut down.
    ended = max(path.stat().st_mtime for path in Path(args.tables, "videos").iterdir())
    print(json.dumps({"clips": summary.clips, "work_s": ended - float(note.read_text())}))


if __name__ == "__main__":
    main()
