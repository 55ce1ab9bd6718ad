"""Commands run as a user runs them: a process of their own, from the root of the checkout."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The JSON line that --json prints last."""
        return json.loads(self.out.splitlines()[-1])

    def assert_one_line_error(self, code: int, *says: str) -> None:
        """Failed with this code and one line on stderr that says all of these."""
        assert (self.code, self.out) == (code, ""), (self.code, self.out, self.err)
        assert len(self.err.splitlines()) == 1, self.err
        assert "Traceback" not in self.err
        for text in says:
            assert text in self.err


def command(name: str, *args: object) -> list[str]:
    """The argv of a command."""
    return [sys.executable, "-m", f"jobs.{name}", *map(str, args)]


def run(name: str, *args: object, timeout_s: float = 900, **env: str) -> Ran:
    """Run a command to its end."""
    done = subprocess.run(
        command(name, *args),
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
