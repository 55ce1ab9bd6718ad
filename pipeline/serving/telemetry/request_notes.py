"""What became known of a request while it was answered, for its line in the log, its figures and its trace."""

from contextvars import ContextVar
from dataclasses import dataclass, field

from pipeline.ranking import NO_READS, Reads


@dataclass
class RequestNotes:
    """Filled on the way.

    Attributes:
        queries: the texts.
        version: of the index, that answered.
        hits: how many.
        timings_ms: stages.
        degraded: steps that were left out.
        together: by part of the service, how many searches it took together with this one, itself included.
        reads: records of fine tokens.
    """

    queries: list[str] = field(default_factory=list)
    version: int | None = None
    hits: int | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    degraded: list[str] = field(default_factory=list)
    together: dict[str, int] = field(default_factory=dict)
    reads: Reads = NO_READS


_current: ContextVar[RequestNotes | None] = ContextVar("request_notes", default=None)


def begin_notes() -> RequestNotes:
    """New notes for the request that this task answers."""
    notes = RequestNotes()
    _current.set(notes)
    return notes


def current_notes() -> RequestNotes:
    """The notes of the request that this task answers; some that nobody reads outside of one."""
    return _current.get() or RequestNotes()
