import os
import subprocess
import sys

import psutil

from pipeline.observe import PeakMemory, ProgressDisplay, resident_bytes


def test_peak_memory_counts_child_processes():
    code = "import time; block = bytearray(200 << 20); print(len(block), flush=True); time.sleep(60)"
    with PeakMemory() as alone:
        pass
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        with PeakMemory() as memory:
            pass
        child.kill()
    assert memory.peak_bytes > alone.peak_bytes + (150 << 20)


def test_a_gone_process_has_no_memory():
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        process = psutil.Process(child.pid)
    assert resident_bytes(process) == 0
    assert resident_bytes(psutil.Process(os.getpid())) > 1 << 20


def test_a_log_gets_plain_lines_and_always_the_last(capsys):
    with ProgressDisplay(3) as display:
        for _ in range(3):
            display.advance(1, "fine")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("reelsift: 3/3 sources (fine)")
    assert "\x1b" not in "".join(lines)
