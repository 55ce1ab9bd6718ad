"""Questions go at once while a thread is free; those that wait share the next batch, and each gets its own answer."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.serving.replicas.gathering import Gathering
from schemas.errors import IndexCorruptError, VectorStoreError

WAIT_S = 20


class Work:
    """Answers x with 10 x, when it may; a text is an error."""

    def __init__(self, error=IndexCorruptError):
        self.batches = []
        self.may = threading.Event()
        self._error = error

    def __call__(self, questions):
        self.batches.append(list(questions))
        assert self.may.wait(WAIT_S)
        if bad := [question for question in questions if isinstance(question, str)]:
            raise self._error(bad[0])
        return [10 * question for question in questions]


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as made:
        yield made


async def asked(gathering, work, *questions, kind=lambda question: "same"):
    """All questions at one time; answers or errors in their order."""
    tasks = [asyncio.ensure_future(gathering.ask(kind(question), question)) for question in questions]
    await asyncio.sleep(0)
    work.may.set()
    return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WAIT_S)


def test_what_waits_is_done_together_and_the_first_do_not_wait(pool):
    work = Work()
    answers = asyncio.run(asked(Gathering(pool, work, at_once=2, in_all=4, largest=16), work, 1, 2, 3, 4, 5))
    assert answers == [10, 20, 30, 40, 50]
    assert sorted(work.batches) == [[1], [2], [3, 4, 5]]


def test_a_batch_has_its_limit(pool):
    work = Work()
    assert asyncio.run(asked(Gathering(pool, work, at_once=1, in_all=4, largest=2), work, 1, 2, 3, 4, 5)) == [
        10,
        20,
        30,
        40,
        50,
    ]
    assert work.batches == [[1], [2, 3], [4, 5]]


def test_only_equal_kinds_share_a_batch_and_each_has_turns_of_its_own(pool):
    work = Work()
    kind = {1: "a", 2: "a", 3: "b", 4: "a", 5: "b"}.get
    gathering = Gathering(pool, work, at_once=1, in_all=4, largest=16)
    assert asyncio.run(asked(gathering, work, 1, 2, 3, 4, 5, kind=kind)) == [10, 20, 30, 40, 50]
    assert sorted(work.batches[:2]) == [[1], [3]]
    assert sorted(work.batches[2:]) == [[2, 4], [5]]
    assert not gathering._in_work


def test_kinds_take_turns_where_threads_are_few(pool):
    work = Work()
    kind = {1: "a", 2: "b", 3: "a", 4: "c", 5: "b"}.get
    gathering = Gathering(pool, work, at_once=2, in_all=1, largest=16)
    assert asyncio.run(asked(gathering, work, 1, 2, 3, 4, 5, kind=kind)) == [10, 20, 30, 40, 50]
    assert work.batches == [[1], [2, 5], [3], [4]]


def test_an_error_is_that_questions_alone(pool):
    work = Work()
    answers = asyncio.run(asked(Gathering(pool, work, at_once=1, in_all=4, largest=16), work, 1, 2, "damaged", 4))
    assert answers[:2] == [10, 20]
    assert answers[3] == 40
    assert isinstance(answers[2], IndexCorruptError)
    assert "damaged" in str(answers[2])


def test_a_store_that_is_away_is_asked_once(pool):
    work = Work(VectorStoreError)
    answers = asyncio.run(asked(Gathering(pool, work, at_once=1, in_all=4, largest=16), work, 1, 2, "away", 4))
    assert answers[0] == 10
    assert all(isinstance(answer, VectorStoreError) for answer in answers[1:])
    assert work.batches == [[1], [2, "away", 4]]


def test_a_bug_reaches_who_asked(pool):
    def broken(questions):
        raise ZeroDivisionError(len(questions))

    async def ask():
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(Gathering(pool, broken, at_once=1, in_all=4, largest=16).ask("same", 1), WAIT_S)

    asyncio.run(ask())


def test_who_gave_up_is_left_out(pool):
    work = Work()

    async def ask():
        gathering = Gathering(pool, work, at_once=1, in_all=4, largest=16)
        tasks = [asyncio.ensure_future(gathering.ask("same", question)) for question in (1, 2, 3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        work.may.set()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WAIT_S)

    answers = asyncio.run(ask())
    assert answers[0] == 10
    assert answers[2] == 30
    assert isinstance(answers[1], asyncio.CancelledError)
    assert work.batches == [[1], [3]]


def test_a_closed_pool_leaves_nobody_waiting(pool):
    work = Work()

    async def ask():
        gathering = Gathering(pool, work, at_once=1, in_all=4, largest=16)
        tasks = [asyncio.ensure_future(gathering.ask("same", question)) for question in (1, 2)]
        await asyncio.sleep(0)
        pool.shutdown(wait=False, cancel_futures=True)
        work.may.set()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WAIT_S)

    answers = asyncio.run(ask())
    assert answers[0] == 10
    assert isinstance(answers[1], BaseException)
