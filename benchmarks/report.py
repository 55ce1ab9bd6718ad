"""How a benchmark tells and keeps what it measured: on the terminal, and at the top of BENCHMARKS.md."""

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
_PAGE = ROOT / "BENCHMARKS.md"
_FIRST_SECTION = "\n## "


def machine() -> str:
    """The machine, as far as it decides a figure."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory_gib = psutil.virtual_memory().total / (1 << 30)
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, no GPU used"


def commit() -> str:
    """The commit that was measured; marked when the tree has changes beside it."""
    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def tell(title: str, command: str, rows: Sequence[Sequence[str]], notes: Sequence[str], *, keep: bool) -> None:
    """Print a section, and with `keep` enter it into BENCHMARKS.md above the older ones.

    Args:
        title: the claim.
        command: what gives the figures again.
        rows: a table, the first row its head.
        notes: what the figures do and do not say.
        keep: whether to write.
    """
    head, *body = rows
    table = [head, ["---"] * len(head), *body]
    lines = [
        f"## {title}",
        "",
        f"{time.strftime('%Y-%m-%d')}, commit {commit()}, {machine()}, load {os.getloadavg()[0]:.1f}; `{command}`",
        "",
        *("| " + " | ".join(row) + " |" for row in table),
        "",
        *(f"- {note}" for note in notes),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if keep:
        before, mark, rest = _PAGE.read_text(encoding="utf-8").partition(_FIRST_SECTION)
        _PAGE.write_text(before.rstrip("\n") + "\n\n" + text + (mark + rest if mark else ""), encoding="utf-8")
