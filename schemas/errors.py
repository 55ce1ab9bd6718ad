"""The error tree: every failure that a user can meet, with the exit code a job ends with.

ReelsiftError                  1  the job failed
├── UsageError                 2  the caller asked for something that makes no sense
│   ├── ConfigError            2  a setting is unknown or out of range
│   ├── UnknownModelError      2  no model of that name, or its files are not a model
│   └── ModelMismatchError     2  two models would be mixed in one set of tables or one index
├── InputError                 1  an input cannot be listed or read
├── StorageError               1  tables or an index cannot be read or written
├── IndexMissingError          1  the index has no such version, or none is published
├── CheckFailedError           1  a version does not pass what was asked of it, and is not published
├── IndexCorruptError          1  stored index data is not what its manifest says
├── VectorStoreError           1  Milvus is away, or refuses
├── PortTakenError             1  the address to listen on is in use
└── BadVideoError              -  one video cannot be used; becomes a row, never ends a job

A message is one line: what was wrong, the value, what to do.
"""


class ReelsiftError(Exception):
    """The job failed for a reason that the user can act on."""

    exit_code = 1


class UsageError(ReelsiftError):
    """The caller asked for something that makes no sense."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown, of the wrong type, or out of range."""


class UnknownModelError(UsageError):
    """No model of that name exists, or the given files do not hold one."""


class ModelMismatchError(UsageError):
    """Two models would be mixed in one set of tables or in one index."""


class InputError(ReelsiftError):
    """An input location cannot be listed or read."""


class StorageError(ReelsiftError):
    """Tables or an index cannot be read or written."""


class IndexMissingError(ReelsiftError):
    """The index has no such version, or no version is published."""


class CheckFailedError(ReelsiftError):
    """A version does not pass what was asked of it before it is published."""


class IndexCorruptError(ReelsiftError):
    """Stored index data is not what its manifest says."""


class VectorStoreError(ReelsiftError):
    """Milvus cannot be reached, or refuses a request."""


class PortTakenError(ReelsiftError):
    """The address to listen on is in use."""


class BadVideoError(ReelsiftError):
    """One video cannot be used.

    Args:
        reason: one of `schemas.tables.REASONS`, the column `reason` of the videos table.
        detail: what was seen, for a person.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TerminatedError(KeyboardInterrupt):
    """The process was told to end by SIGTERM; as Ctrl-C, it is no error that a part of the work may catch."""
