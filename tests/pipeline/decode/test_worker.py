import subprocess
import sys

from pipeline.decode.child import WORKER_COMMAND


def test_a_worker_loads_nothing_heavy():
    code = (
        "import sys, pipeline.decode.worker; print(sorted({'torch', 'ray', 'pyarrow', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_worker_ends_when_stdin_does():
    done = subprocess.run(WORKER_COMMAND, input=b"", capture_output=True, timeout=60, check=True)
    assert (done.returncode, done.stderr) == (0, b"")
