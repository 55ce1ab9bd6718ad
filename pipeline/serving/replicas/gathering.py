"""Requests that wait for a thread are done together when one is free: nobody waits for others to come."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from schemas.errors import ReelsiftError, VectorStoreError

_Q = TypeVar("_Q")
_A = TypeVar("_A")
# While one batch of searches waits for Milvus, the other is read and scored. More of them take the interpreter's lock
# from each other: with eight threads one replica answered 35 searches a second and left a third of two cores idle.
AT_ONCE: Final = 2
# Of fewer vectors than 20, Milvus compares each by itself also where it compares all of a segment, so that scores do
# not depend on their number (`distance_compute_blas_threshold` of Faiss).
MAX_TOGETHER: Final = 16


@dataclass(frozen=True)
class _Waiting(Generic[_Q, _A]):
    kind: Hashable
    question: _Q
    answer: "asyncio.Future[_A]"


class Gathering(Generic[_Q, _A]):
    """Answers questions in batches that form by themselves. For one event loop.

    While fewer batches of its kind than `at_once` are in work, a question goes at once and alone. Those that come
    meanwhile wait, and the next free turn takes as many as there are: under load batches grow and each question costs
    less, and without load nothing is delayed. Other kinds have turns of their own, so that a few heavy questions keep
    nobody else. `serve.batch` of Ray 2.60 is no help here: it closes a batch before that waits for its turn, so without
    a delay for more each holds one question.

    Args:
        pool: threads that do the work.
        work: answers the questions of one kind, in their order.
        at_once: batches of a kind in work.
        in_all: batches in work; as many threads should be free.
        largest: questions of a batch.
        everyones: errors that a question alone would meet as well.
    """

    def __init__(
        self,
        pool: Executor,
        work: Callable[[Sequence[_Q]], Sequence[_A]],
        at_once: int,
        in_all: int,
        largest: int,
        everyones: type[ReelsiftError] = VectorStoreError,
    ) -> None:
        self._pool = pool
        self._work = work
        self._at_once = at_once
        self._in_all = in_all
        self._largest = largest
        self._everyones = everyones
        self._in_work: Counter[Hashable] = Counter()
        self._waiting: deque[_Waiting[_Q, _A]] = deque()

    async def ask(self, kind: Hashable, question: _Q) -> _A:
        """The answer to one question.

        Args:
            kind: only questions of equal kinds share a batch.
            question: what `work` gets.

        Raises:
            ReelsiftError: what `work` raises for it; where it raises for a batch, each question is asked again alone,
                but not after an error of `everyones`.
        """
        answer: asyncio.Future[_A] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(kind, question, answer))
        self._begin()
        return await answer

    def _begin(self) -> None:
        while self._in_work.total() < self._in_all and (batch := self._next_batch()):
            questions = [one.question for one in batch]
            try:
                done = asyncio.get_running_loop().run_in_executor(self._pool, self._answered, questions)
            except RuntimeError:
                # The pool is closed: the replica ends.
                for one in batch:
                    one.answer.cancel()
                continue
            self._in_work[batch[0].kind] += 1
            done.add_done_callback(lambda done, batch=batch: self._end(batch, done))  # type: ignore[misc]

    def _answered(self, questions: Sequence[_Q]) -> Sequence[_A | ReelsiftError]:
        try:
            return self._work(questions)
        except ReelsiftError as error:
            if len(questions) == 1 or isinstance(error, self._everyones):
                raise
        # One's damaged record is not to be the neighbours' failure.
        return [self._alone(question) for question in questions]

    def _alone(self, question: _Q) -> _A | ReelsiftError:
        try:
            return self._work([question])[0]
        except ReelsiftError as error:
            return error

    def _next_batch(self) -> list[_Waiting[_Q, _A]]:
        """The oldest question whose kind has a turn, with others of its kind."""
        batch: list[_Waiting[_Q, _A]] = []
        others: deque[_Waiting[_Q, _A]] = deque()
        while self._waiting and len(batch) < self._largest:
            one = self._waiting.popleft()
            # Whoever gave up in the meantime is not to be answered.
            if not one.answer.done():
                fits = batch[0].kind == one.kind if batch else self._in_work[one.kind] < self._at_once
                (batch if fits else others).append(one)
        self._waiting.extendleft(reversed(others))
        return batch

    def _end(self, batch: list[_Waiting[_Q, _A]], done: "asyncio.Future[Sequence[_A | ReelsiftError]]") -> None:
        self._in_work[batch[0].kind] -= 1
        # Only those in work are remembered: a filter makes a kind.
        self._in_work += Counter()
        for one, answer in zip(batch, _answers(done, len(batch)), strict=True):
            if one.answer.done():
                continue
            if answer is None:
                one.answer.cancel()
            elif isinstance(answer, BaseException):
                one.answer.set_exception(answer)
            else:
                one.answer.set_result(answer)
        self._begin()


def _answers(done: "asyncio.Future[Sequence[Any]]", count: int) -> Sequence[Any]:
    """What each question is told: an answer, an error, or None where the pool was closed before its turn."""
    if done.cancelled():
        return [None] * count
    error = done.exception()
    return done.result() if error is None else [error] * count
