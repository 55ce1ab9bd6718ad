"""Imports of a replica: as cheap as they can be, and behind searches where a replica takes the place of a dead one."""

import gc
import importlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import ray
from ray import serve
from ray.serve.schema import ApplicationStatus

# The lowest that there is: a replica comes up with what searches leave of the cores, all of them if they are none.
_NICE: Final = 19
_FIRST_START: Final = (ApplicationStatus.NOT_STARTED, ApplicationStatus.DEPLOYING)


def import_gently(*modules: str) -> None:
    """Import modules in a process of Ray's, at low priority where a service answers already; outside Ray do nothing.

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
    if _a_service_answers():
        with suppress(OSError):
            # Of this thread alone.
            os.nice(_NICE)
    with _without_collections():
        for name in modules:
            with suppress(Exception):
                importlib.import_module(name)


def _a_service_answers() -> bool:
    """Whether this replica is one more, or another one, of an application that has been up; not known is no."""
    with suppress(Exception):
        return any(each.status not in _FIRST_START for each in serve.status().applications.values())
    return False


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep the garbage collector from what modules allocate, now and later: a fifth of the time of their import.

    What they leave lives as long as the process, so to look through it again in every full collection finds nothing
    (https://docs.python.org/3/library/gc.html#gc.freeze).
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
