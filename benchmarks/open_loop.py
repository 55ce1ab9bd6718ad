"""Open-loop load on a search service: requests leave when they are due, whether or not others have come back.

Latency counts from the moment that a request was due, so that a stalled service cannot hide behind a client that
waited for it (Gil Tene's "coordinated omission").
"""

import asyncio
import json
import math
import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

# Answers by version and query: (clip_id, final score) in their order.
Expected = Mapping[int, Mapping[str, Sequence[tuple[str, float]]]]

_CLIENT_LIMIT_S: Final = 60.0
_SCORE_TOLERANCE: Final = 1e-4
_REFUSED: Final = (429, 503)
_NICE: Final = -10


@dataclass(frozen=True)
class Sent:
    """One request and what became of it.

    Attributes:
        due_s: when it was due, since the start of the load.
        latency_ms: from then to the last byte of the answer.
        status: HTTP status; 0 without an answer.
        code: the code of an error body, or the name of a client's error.
        verdict: of a 200: "right", "wrong", "degraded"; "" of all others.
        version: of a 200: which index version answered.
        timings_ms: of a 200: the stages, as the service tells them.
    """

    due_s: float
    latency_ms: float
    status: int
    code: str = ""
    verdict: str = ""
    version: int = 0
    timings_ms: dict[str, float] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """A right answer, be it degraded."""
        return self.status == 200 and self.verdict != "wrong"

    @property
    def is_refused(self) -> bool:
        """One of the answers that are documented for a service that cannot answer now."""
        return self.status in _REFUSED


@dataclass(frozen=True)
class Load:
    """What to send: `rate` requests a second as a Poisson process for `seconds`."""

    url: str
    queries: tuple[str, ...]
    rate: float
    seconds: float
    expected: Expected
    seed: int = 0
    body: dict[str, Any] = field(default_factory=dict)


def due_times_s(rate: float, seconds: float, seed: int) -> list[float]:
    """Arrivals of a Poisson process.

    >>> times = due_times_s(100, 10, seed=1)
    >>> 900 < len(times) < 1100 and times == sorted(times) and times[-1] < 10
    True
    """
    rng = random.Random(seed)
    times = []
    at = rng.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += rng.expovariate(rate)
    return times


def run(load: Load) -> list[Sent]:
    """Send all of it, in this process; in the order in which it was due."""
    return asyncio.run(_run(load))


class Background:
    """A load in a process of its own, so that who makes it does not slow it down."""

    def __init__(self, load: Load) -> None:
        context = multiprocessing.get_context("spawn")
        self._answers, send = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(load, send), daemon=True)
        self._limit_s = load.seconds + _CLIENT_LIMIT_S + 30
        self._process.start()
        send.close()

    def result(self) -> list[Sent]:
        """Wait for its end."""
        if not self._answers.poll(self._limit_s):
            self._process.kill()
            raise TimeoutError("the load did not end")
        sent: list[Sent] = self._answers.recv()
        self._process.join(10)
        return sent


def run_apart(load: Load) -> list[Sent]:
    """Send all of it from a process of its own."""
    return Background(load).result()


def _work(load: Load, answers: Any) -> None:
    # It stands for other machines: it must not wait for its turn behind the service that it measures.
    with suppress(OSError):
        os.nice(_NICE)
    answers.send(run(load))
    answers.close()


async def _run(load: Load) -> list[Sent]:
    rng = random.Random(load.seed + 1)
    times = due_times_s(load.rate, load.seconds, load.seed)
    asked = [rng.choice(load.queries) for _ in times]
    limit = aiohttp.ClientTimeout(total=_CLIENT_LIMIT_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=limit) as session:
        begin = time.perf_counter()
        tasks = []
        for due_s, query in zip(times, asked, strict=True):
            await asyncio.sleep(max(0.0, begin + due_s - time.perf_counter()))
            tasks.append(asyncio.create_task(_send(session, load, query, begin, due_s)))
        return list(await asyncio.gather(*tasks))


async def _send(session: aiohttp.ClientSession, load: Load, query: str, begin: float, due_s: float) -> Sent:
    try:
        async with session.post(f"{load.url}/v1/search", json={"query": query, **load.body}) as answer:
            text = await answer.read()
            latency_ms = 1000 * (time.perf_counter() - begin - due_s)
            return judged(due_s, latency_ms, answer.status, text, query, load.expected)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return Sent(due_s, 1000 * (time.perf_counter() - begin - due_s), 0, type(error).__name__)


def judged(due_s: float, latency_ms: float, status: int, text: bytes, query: str, expected: Expected) -> Sent:
    """An answer, compared with what it must be.

    >>> body = b'{"version": 1, "degraded": [], "timings_ms": {}, "hits": [{"clip_id": "a", "score": 0.5}]}'
    >>> judged(0, 1, 200, body, "q", {1: {"q": [("a", 0.5)]}}).verdict
    'right'
    >>> judged(0, 1, 200, body, "q", {1: {"q": [("b", 0.5)]}}).verdict
    'wrong'
    >>> judged(0, 1, 503, b'{"error": {"code": "restarting"}}', "q", {}).code
    'restarting'
    """
    try:
        body = json.loads(text)
    except ValueError:
        return Sent(due_s, latency_ms, status, "not JSON", "wrong" if status == 200 else "")
    if status != 200:
        return Sent(due_s, latency_ms, status, str(body.get("error", {}).get("code", "no code")))
    hits = [(hit["clip_id"], hit["score"]) for hit in body["hits"]]
    verdict = "degraded" if body["degraded"] else _compared(hits, expected.get(body["version"], {}).get(query))
    return Sent(due_s, latency_ms, status, "", verdict, body["version"], body["timings_ms"])


def _compared(hits: Sequence[tuple[str, float]], wanted: Sequence[tuple[str, float]] | None) -> str:
    if wanted is None or [clip for clip, _ in hits] != [clip for clip, _ in wanted]:
        return "wrong"
    close = all(
        math.isclose(got, want, abs_tol=_SCORE_TOLERANCE) for (_, got), (_, want) in zip(hits, wanted, strict=True)
    )
    return "right" if close else "wrong"


@dataclass(frozen=True)
class Summary:
    """Figures of a load.

    Attributes:
        offered: requests a second that were due.
        goodput: good answers a second, over the time from the first due to the last answer.
        p50_ms, p99_ms: of the good answers; NaN without any.
        errors: share of all requests that were neither good nor refused.
        refused: share of all requests that were refused.
        refused_p50_ms: how long a refusal took, at the median; NaN without any.
        outcomes: number of requests by status and code.
    """

    offered: float
    goodput: float
    p50_ms: float
    p99_ms: float
    errors: float
    refused: float
    refused_p50_ms: float
    outcomes: dict[str, int]


def summary(sent: Sequence[Sent], seconds: float) -> Summary:
    """The figures of requests that were due within so many seconds."""
    good = [each.latency_ms for each in sent if each.is_good]
    refused = [each.latency_ms for each in sent if each.is_refused]
    end_s = max([seconds] + [each.due_s + each.latency_ms / 1000 for each in sent if each.is_good])
    names = Counter(f"{each.status} {each.verdict or each.code}".strip() for each in sent)
    return Summary(
        offered=len(sent) / seconds,
        goodput=len(good) / end_s,
        p50_ms=percentile(good, 50),
        p99_ms=percentile(good, 99),
        errors=(len(sent) - len(good) - len(refused)) / max(1, len(sent)),
        refused=len(refused) / max(1, len(sent)),
        refused_p50_ms=percentile(refused, 50),
        outcomes=dict(sorted(names.items())),
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which so many percent lie, by nearest rank; NaN of nothing.

    >>> percentile([3.0, 1.0, 2.0], 50)
    2.0
    """
    if not values:
        return math.nan
    return sorted(values)[min(len(values) - 1, math.ceil(len(values) * percent / 100) - 1)]
