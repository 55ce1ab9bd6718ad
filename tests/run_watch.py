"""A test run that is ended from outside still says what failed and what it stood in."""

import signal
import time

import pytest


class RunWatch:
    """Print each failure when it happens, and at SIGTERM the tests that were running.

    pytest keeps tracebacks for the end of a run; one that hangs until somebody ends it has no such end.
    """

    def __init__(self):
        self.terminal = None
        self.started_at = {}

    def pytest_sessionstart(self, session):
        self.terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        signal.signal(signal.SIGTERM, self._terminated)

    def pytest_runtest_logstart(self, nodeid):
        self.started_at[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid):
        self.started_at.pop(nodeid, None)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.terminal.write_line("")
            self.terminal.write_line(f"{report.when} of {report.nodeid} failed after {report.duration:.0f} s:")
            self.terminal.write_line(report.longreprtext)

    def _terminated(self, signum, frame):
        running = running_lines(self.started_at, time.monotonic())
        pytest.exit("\n".join(["the run was terminated; running were", *running]), returncode=128 + signum)


def running_lines(started_at, now):
    """One line for each running test, the oldest first."""
    oldest_first = sorted(started_at.items(), key=lambda item: item[1])
    return [f"  {nodeid} for {now - start:.0f} s" for nodeid, start in oldest_first]
