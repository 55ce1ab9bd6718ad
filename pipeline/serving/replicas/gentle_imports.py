"""Imports that give way to searches: a replica that takes the place of a dead one must not slow the others down."""

import importlib
import os
import threading
from contextlib import suppress
from typing import Final

import ray

# A tenth of the weight of an ordinary thread, as Linux counts: on busy cores a replica comes up in tens of seconds, not
# never.
_NICE: Final = 10


def import_gently(*modules: str) -> None:
    """Import modules, in a process of Ray's at low priority; elsewhere nothing is done.

    Call it before the `import` statements of the same modules: those then find them loaded. A process may lower its
    priority, but mostly not raise it again; so a thread does the work, and ends.

    Args:
        modules: names with dots. What cannot be imported is left to the statements, which say why.
    """
    if not ray.is_initialized():
        return
    thread = threading.Thread(target=_import, args=(modules,), name="gentle imports")
    thread.start()
    thread.join()


def _import(modules: tuple[str, ...]) -> None:
    with suppress(OSError):
        # Of this thread alone.
        os.nice(_NICE)
    for name in modules:
        with suppress(Exception):
            importlib.import_module(name)
