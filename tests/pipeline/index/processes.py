"""Other processes of the tests: a script that says when it is ready, and is ended by its id."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OWN = """
import sys
from pipeline.index.vector_store import VectorStore
store = VectorStore.open("lite", sys.argv[1])
print(store._milvus._client._config.uri, flush=True)
sys.stdin.read()
store.close()
"""


@contextmanager
def running(script, *args):
    """A process that runs `script`; yields it after its first line, which is put in `.first_line`."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        process.first_line = process.stdout.readline().strip()
        assert process.first_line, process.wait(30)
        yield process
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()
        process.stdin.close()


def end(process):
    """Let the script end by itself."""
    process.stdin.close()
    assert process.wait(60) == 0
