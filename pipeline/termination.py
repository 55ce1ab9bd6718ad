"""SIGTERM ends a command as Ctrl-C does: an exception in the main thread, so that what is open gets closed."""

import signal
import threading
from types import FrameType

from schemas.errors import TerminatedError


def raise_on_sigterm() -> None:
    """Let SIGTERM raise `TerminatedError` in the main thread; called elsewhere, nothing changes.

    Ray installs a handler of its own when a process connects, with which the process would abort. So this is called
    once more behind that.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _raise)


def _raise(signum: int, frame: FrameType | None) -> None:
    raise TerminatedError
