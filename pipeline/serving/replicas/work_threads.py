"""Threads of a replica that do the work of searches and give way to what answers connections."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

# Two fifths of the weight of an ordinary thread, as Linux counts. On a machine with fewer cores than work there is a
# refusal, which takes no work, else waits for its turn among all the searches that were let in. Not lower: what Ray
# itself does to start a replica in the place of a dead one has ordinary priority, and must not keep the others from
# searching; its imports have the lowest.
_NICE: Final = 4


def work_threads(count: int, name: str) -> ThreadPoolExecutor:
    """A pool whose threads run at a lower priority than the event loops of the service.

    Args:
        count: how many threads at most.
        name: prefix of their names.

    >>> with work_threads(1, "example") as pool:
    ...     pool.submit(os.nice, 0).result() == min(19, os.nice(0) + 4)
    True
    """
    return ThreadPoolExecutor(count, thread_name_prefix=name, initializer=_give_way)


def _give_way() -> None:
    # Linux counts it for the thread that asks, and for those that it starts.
    with suppress(OSError):
        os.nice(_NICE)
