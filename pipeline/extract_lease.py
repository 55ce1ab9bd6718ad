"""One driver at a time on a set of tables.

Nothing becomes wrong without it: two drivers do the same work twice and write the same names. It spares that work, and
tells who else is at it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pipeline.lease import Terms, hold, refusal
from pipeline.storage import Store
from schemas.errors import StorageError

LEASE: Final = "extract.lease"
STALE_S: Final = 120.0
TERMS: Final = Terms(
    name=LEASE,
    busy="another extraction is writing {root}",
    advice=(
        "wait until it ends ('reelsift status' shows how far it is), or end it. One that was killed on another host is "
        f"taken over after {STALE_S:.0f} s"
    ),
    renew_s=20.0,
    stale_s=STALE_S,
    replaces_garbage=True,
)


@contextmanager
def only_driver(tables: Store, terms: Terms = TERMS) -> Iterator[None]:
    """Hold the tables while extracting.

    Raises:
        StorageError: another driver lives; in one line who, since when, and its last sign of life.
    """
    with hold(tables, terms):
        yield


def refuse_second_driver(tables: Store) -> None:
    """Tell at once what `only_driver` would tell when all is ready to begin.

    Raises:
        StorageError: another driver lives.
    """
    if why := refusal(tables, TERMS):
        raise StorageError(why)


def is_driven(tables: Store) -> bool:
    """Whether an extraction is at work on the tables now."""
    return refusal(tables, TERMS) is not None
