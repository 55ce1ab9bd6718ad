"""How much of the second stage a query can afford in the time that is left.

The steps, in order: all candidates by all tokens; fewer candidates; frames only, which leaves the patches unread; no
second stage. What each costs is measured as it runs.
"""

import time
from dataclasses import dataclass
from math import floor, inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.index.fine_store import Tier

FEWER, FRAMES_ONLY, COARSE_ONLY = "fewer_candidates", "frames_only", "coarse_only"
# What costs are multiplied by before they are compared with the time left: they vary, and an answer that comes too
# late is worth nothing.
_SPARE: Final = 1.3
_WEIGHT: Final = 0.2
# Until frames were scored alone: in bytes they are a tenth to a third of a record.
_FRAMES_SHARE: Final = 0.3


@dataclass(frozen=True)
class Plan:
    """What stage 2 does.

    Attributes:
        candidates: how many of the best are scored; 0 for none.
        tier: by what.
        degraded: the steps that were taken, as the answer names them.
    """

    candidates: int
    tier: "Tier" = "all"
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Costs:
    """Milliseconds to read and score one candidate. `frames_ms` is None where records hold no patches to leave out."""

    all_ms: float
    frames_ms: float | None


def plan(left_ms: float, wanted: int, k: int, costs: Costs) -> Plan:
    """The most that fits.

    Args:
        left_ms: milliseconds for stage 2.
        wanted: how many candidates there are.
        k: how many clips will be shown; fewer than these are not scored, but a cheaper step is taken.
        costs: what was measured.

    >>> costs = Costs(all_ms=1.0, frames_ms=0.25)
    >>> plan(100, 50, 10, costs)
    Plan(candidates=50, tier='all', degraded=())
    >>> plan(26, 50, 10, costs)
    Plan(candidates=20, tier='all', degraded=('fewer_candidates',))
    >>> plan(10, 50, 10, costs)
    Plan(candidates=30, tier='frames', degraded=('fewer_candidates', 'frames_only'))
    >>> plan(1, 50, 10, costs)
    Plan(candidates=0, tier='all', degraded=('coarse_only',))
    """
    tiers: list[tuple[Tier, float | None, tuple[str, ...]]] = [
        ("all", costs.all_ms, ()),
        ("frames", costs.frames_ms, (FRAMES_ONLY,)),
    ]
    for tier, cost_ms, step in tiers:
        fit = _fit(left_ms, cost_ms)
        if fit >= wanted:
            return Plan(wanted, tier, step)
        if fit >= max(1, min(wanted, k)):
            return Plan(int(fit), tier, (FEWER, *step))
    return Plan(0, "all", (COARSE_ONLY,))


def _fit(left_ms: float, cost_ms: float | None) -> float:
    if cost_ms is None or left_ms <= 0:
        return 0
    return floor(left_ms / (cost_ms * _SPARE)) if cost_ms > 0 else inf


class MeasuredCosts:
    """Running means of what a candidate costs. Threads may race here: a figure that is lost is no harm.

    Args:
        has_patches: whether records hold patches that can be left out.
    """

    def __init__(self, *, has_patches: bool) -> None:
        self._has_patches = has_patches
        self._ms: dict[Tier, float] = {}

    def note(self, tier: "Tier", candidates: int, spent_ms: float) -> None:
        """Take a query into account."""
        if candidates:
            each_ms = spent_ms / candidates
            self._ms[tier] = each_ms + (1 - _WEIGHT) * (self._ms.get(tier, each_ms) - each_ms)

    def now(self) -> Costs:
        """What is known; a candidate costs nothing until one was measured."""
        all_ms = self._ms.get("all", 0.0)
        return Costs(all_ms, self._ms.get("frames", _FRAMES_SHARE * all_ms) if self._has_patches else None)


class Clock:
    """Counts down from a number of milliseconds.

    Args:
        budget_ms: at the start.
    """

    def __init__(self, budget_ms: float) -> None:
        self._end = time.perf_counter() + budget_ms / 1000

    def left_ms(self) -> float:
        """Milliseconds left; below 0 behind the end."""
        return (self._end - time.perf_counter()) * 1000


class Depth:
    """How deep the second stage goes for one request. It is asked again where candidates turned out to be gone.

    Args:
        clock: of the request.
        k: how many clips will be shown.
        costs: of a candidate.
        rerank: False for no second stage, by the caller's wish.
    """

    def __init__(self, clock: Clock, k: int, costs: MeasuredCosts, *, rerank: bool = True) -> None:
        self._clock = clock
        self._k = k
        self._costs = costs
        self._rerank = rerank
        self._plan = Plan(0)

    @property
    def degraded(self) -> list[str]:
        """What is left out, as the answer names it."""
        return list(self._plan.degraded)

    @property
    def expected_ms(self) -> float:
        """What was chosen will take about this long."""
        costs = self._costs.now()
        each_ms = costs.frames_ms if self._plan.tier == "frames" and costs.frames_ms is not None else costs.all_ms
        return self._plan.candidates * each_ms

    def choose(self, candidates: int, beside: int = 0) -> "tuple[int, Tier]":
        """How many of so many candidates are scored, and by what.

        Args:
            candidates: of this request.
            beside: of others, which are scored in the same time.
        """
        if not self._rerank:
            return 0, "all"
        costs = self._costs.now()
        left_ms = self._clock.left_ms() - beside * costs.all_ms * _SPARE
        self._plan = plan(left_ms, candidates, self._k, costs)
        return self._plan.candidates, self._plan.tier

    def note(self, spent_ms: float) -> None:
        """What the second stage took."""
        self._costs.note(self._plan.tier, self._plan.candidates, spent_ms)
