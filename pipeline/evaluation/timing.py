"""Measured seconds of a query: stage 1, stage 2 and the exhaustive search, in turn, on the same threads."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pipeline.evaluation.stages import TwoStages
from schemas.recall import RECALL_MODES

EXHAUSTIVE, RERANK = "exhaustive", "rerank"


@dataclass(frozen=True)
class Timing:
    """Mean seconds of a query.

    Attributes:
        queries: how many were timed.
        threads: of torch.
        wall_s: by part: `recall_coarse`, `recall_frames`, `recall_both`, `rerank`, `exhaustive`.
        cpu_s: CPU time of all threads, by part.
    """

    queries: int
    threads: int
    wall_s: dict[str, float]
    cpu_s: dict[str, float]

    def two_stage_s(self, mode: str) -> float:
        """Wall seconds of a query in two stages."""
        return self.wall_s[f"recall_{mode}"] + self.wall_s[RERANK]

    def two_stage_cpu_s(self, mode: str) -> float:
        """CPU seconds of a query in two stages."""
        return self.cpu_s[f"recall_{mode}"] + self.cpu_s[RERANK]


def time_queries(stages: TwoStages, text_TD: Tensor, k: int) -> Timing:
    """Time some queries, one after the other, each in every way before the next: a disturbance meets all ways.

    The ways come in another order for each query, since one leaves the next its tokens in the processor's cache.
    Only searching is timed; texts are encoded and tokens are in memory already. The first query runs once before, for
    nothing.

    Args:
        stages: what is searched.
        text_TD: the queries, at least one.
        k: candidates of stage 2.
    """
    wall_s: dict[str, float] = {}
    cpu_s: dict[str, float] = {}
    for number, text_D in enumerate([text_TD[0], *text_TD]):
        ways = list(_ways(stages, text_D, k).items())
        random.Random(number).shuffle(ways)
        for name, work in ways:
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            spent = time.perf_counter() - wall, time.process_time() - cpu
            if number:
                wall_s[name] = wall_s.get(name, 0.0) + spent[0] / len(text_TD)
                cpu_s[name] = cpu_s.get(name, 0.0) + spent[1] / len(text_TD)
    return Timing(len(text_TD), torch.get_num_threads(), wall_s, cpu_s)


def _ways(stages: TwoStages, text_D: Tensor, k: int) -> dict[str, Callable[[], object]]:
    candidates_k = stages.recall("both", text_D, k)
    ways: dict[str, Callable[[], object]] = {
        f"recall_{mode}": partial(stages.recall, mode, text_D, k) for mode in RECALL_MODES
    }
    return ways | {
        RERANK: partial(stages.rerank, text_D, candidates_k),
        EXHAUSTIVE: partial(stages.exhaustive, text_D),
    }
