"""Loads on a running service: saturation, hours with faults, overload, an outage of Milvus."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.open_loop import Background, Sent, run_apart, summary
from benchmarks.serve_faults import Faults, MemoryTrace, kill_one
from benchmarks.serve_world import World, told

_STEP_S: Final = 10.0
_SUSTAINED_S: Final = 60.0
_KEPT_UP: Final = 0.97
_FIRST_RATE, _GROWTH = 8.0, 1.5
_REFINEMENTS: Final = 3
# Something else on the machine may spoil one step.
_TRIES: Final = 2
_SHARE: Final = 0.7
_TIMES_SATURATION: Final = 5.0
_LOOK_S: Final = 0.1


def find_saturation(world: World) -> None:
    """The answers a second of a minute at the highest rate that is answered.

    Rates grow until they are not answered, then the step is halved a few times. A machine whose pace changes answers
    one step by luck; a minute, as long as the overload that is compared with it, tells what it sustains.
    """
    highest = _highest_rate(world)
    got = summary(run_apart(world.load(highest, _SUSTAINED_S, 150)), _SUSTAINED_S)
    world.saturation = got.goodput
    world.add("saturation", f"{got.offered:.0f}/s for {_SUSTAINED_S:.0f} s", told(got))
    world.add("saturation", "requests/s", f"{got.goodput:.0f}")


def _highest_rate(world: World) -> float:
    best, rate = 0.0, _FIRST_RATE
    bad = None
    for step in range(20):
        answered = _answered(world, rate, seed=100 + _TRIES * step)
        if answered is not None:
            best = max(best, answered)
            rate = rate * _GROWTH if bad is None else (rate + bad) / 2
        else:
            bad = rate
            rate = (best + bad) / 2 if best else rate / 2
        if bad is not None and (bad - best) / bad < 1 / (1 << _REFINEMENTS):
            break
    return best


def _answered(world: World, rate: float, seed: int) -> float | None:
    """Good answers a second where the service keeps up with a rate; None where it does not, and again not."""
    for again in range(_TRIES):
        got = summary(run_apart(world.load(rate, _STEP_S, seed + again)), _STEP_S)
        world.add("saturation", f"offered {got.offered:.0f}/s", told(got))
        if got.goodput >= _KEPT_UP * got.offered and not got.errors:
            return got.goodput
    return None


def hold(world: World, minutes: float, fault_period_s: float, versions: Callable[[], str]) -> None:
    """A share of saturation for minutes, with one replica of each kind killed in each period and one switch."""
    seconds, pid, rng = 60 * minutes, world.service.process.pid, random.Random(3)
    trace = MemoryTrace(pid)
    faults = Faults(
        fault_period_s,
        [lambda: ", ".join([kill_one(pid, "Rerank", rng), kill_one(pid, "TextEncoder", rng)])],
    )
    switch = Faults(seconds / 2, [versions])
    load = Background(world.load(_SHARE * world.saturation, seconds, seed=200))
    for each in (trace, faults, switch):
        each.start()
    try:
        sent = load.result()
    finally:
        done, switched = faults.stop(), switch.stop()
        trace.stop()
    got = summary(sent, seconds)
    wrong = sum(each.verdict == "wrong" for each in sent)
    bad = sum(not each.is_good for each in sent) / len(sent)
    first, last = trace.thirds_mib()
    by_version = {version: sum(each.version == version for each in sent if each.is_good) for version in (1, 2)}
    world.add("hold", f"{minutes:.0f} min at {got.offered:.0f}/s", told(got))
    world.add("hold", "wrong answers", str(wrong))
    world.add("hold", "not answered, of all", f"{100 * bad:.3f} % ({got.outcomes})")
    world.add("hold", "faults", f"{len(done)} times: {done[0] if done else 'none'}; {switched}; {by_version}")
    world.add("hold", "PSS, median of the first and last third", f"{first:.0f} and {last:.0f} MiB")


def overload(world: World, seconds: float) -> None:
    """Five times saturation; then what is left of it ten seconds after."""
    calm = summary(run_apart(world.load(_SHARE * world.saturation, _STEP_S, 300)), _STEP_S)
    got = summary(run_apart(world.load(_TIMES_SATURATION * world.saturation, seconds, 301)), seconds)
    time.sleep(10)
    after = summary(run_apart(world.load(_SHARE * world.saturation, _STEP_S, 302)), _STEP_S)
    world.add("overload", f"before, {calm.offered:.0f}/s", told(calm))
    world.add("overload", f"{got.offered:.0f}/s for {seconds:.0f} s", told(got))
    world.add("overload", "goodput / saturation", f"{got.goodput / world.saturation:.2f}")
    world.add("overload", "429 at the median", f"{got.refused_p50_ms:.1f} ms")
    world.add("overload", "outcomes", str(got.outcomes))
    world.add("overload", "10 s after", told(after))
    world.add("overload", "p50 after / before", f"{after.p50_ms / calm.p50_ms:.2f}")


def outage(
    world: World, pause: Callable[[], None], resume: Callable[[], object], answers: Callable[[], bool], away_s: float
) -> None:
    """Milvus stops and comes back; how long after its return until every request is answered.

    Args:
        world: what all phases share.
        pause: stops Milvus.
        resume: starts it, and returns when it says that it is well.
        answers: whether a client that does nothing else gets an answer to a search: only then it is back.
        away_s: from its end to the beginning of its start.
    """
    seconds = away_s + 150
    load = Background(world.load(_SHARE * world.saturation, seconds, 400))
    begin = time.monotonic()
    time.sleep(10)
    pause()
    gone_s = time.monotonic() - begin
    time.sleep(away_s)
    resume()
    well_s = time.monotonic() - begin
    while not answers() and time.monotonic() - begin < seconds:
        time.sleep(_LOOK_S)
    back_s = time.monotonic() - begin
    _tell_outage(world, load.result(), gone_s, well_s, back_s)


def _tell_outage(world: World, sent: Sequence[Sent], gone_s: float, well_s: float, back_s: float) -> None:
    away = [each for each in sent if gone_s + 1 < each.due_s < back_s]
    after = [each for each in sent if each.due_s >= back_s]
    last: dict[str, float] = {}
    for each in after:
        if not each.is_good:
            last[f"{each.status} {each.verdict or each.code}"] = round(each.due_s - back_s, 1)
    # A refusal is that of a full queue, with which the service also answers when all is well.
    full = max((seconds for name, seconds in last.items() if not name.startswith("429")), default=0.0)
    world.add(
        "outage", f"Milvus away for {back_s - gone_s:.0f} s", str(summary(away, max(1.0, back_s - gone_s)).outcomes)
    )
    world.add("outage", "from its health to a search of a bare client", f"{back_s - well_s:.1f} s")
    world.add("outage", "from there to the last request without an answer, 429 apart", f"{full:.1f} s")
    world.add("outage", "after its return", f"{summary(after, 1.0).outcomes}, the last of each at s: {last}")
