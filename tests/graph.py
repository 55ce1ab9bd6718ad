"""A whole extraction in the test's own process: the driver and the stages are the real ones, only Ray is left out."""

import contextlib
import dataclasses

from pipeline import extraction
from pipeline.run_outcome import follow
from pipeline.stages.commit import commit_batch
from pipeline.stages.decode import DecodeStage
from schemas.config import ExtractConfig

MODEL = "random-tiny"


class KilledError(BaseException):
    """Stands for a kill: nothing behind it is done."""


class Graph:
    """Extractions into folders, with limits of a test.

    Attributes:
        task_bytes: what a worker may hold.
        kill_after: rows of the graph after which the run is killed; None for never.
        decoded: rows that went through decoding, in the last run.
    """

    def __init__(self, monkeypatch):
        self.task_bytes = 1 << 30
        self.kill_after = None
        self.decoded = []
        sizes = extraction.run_sizes
        monkeypatch.setattr(extraction, "_run_tasks", self._run_tasks)
        monkeypatch.setattr(extraction, "_ray", contextlib.nullcontext)
        monkeypatch.setattr(
            extraction, "run_sizes", lambda *args: dataclasses.replace(sizes(*args), task_bytes=self.task_bytes)
        )

    def run(self, videos, tables, **settings):
        """Extract as `reelsift extract` would."""
        self.decoded = []
        config = ExtractConfig(input=[str(videos)], tables=str(tables), model=MODEL, **settings)
        return extraction.extract(config)

    def _run_tasks(self, rows, run, _):
        from pipeline.stages.encode import EncodeStage

        decode, encode = DecodeStage(extraction._decoding(run)), EncodeStage(extraction._encoding(run))

        def results():
            for number, row in enumerate(rows):
                if number == self.kill_after:
                    raise KilledError
                self.decoded.append(row)
                batch = encode(decode({name: [value] for name, value in row.items()}))
                yield {name: value[0] for name, value in commit_batch(batch, run.config.tables).items()}

        try:
            return follow(results(), rows, run.account)
        finally:
            decode.__del__()
