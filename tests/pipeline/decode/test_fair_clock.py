import os
import subprocess
import sys

import pytest

from pipeline.decode.fair_clock import FairClock, waited_s


class World:
    """A wall clock, and how long a process has waited for a processor."""

    def __init__(self):
        self.wall, self.waited = 100.0, {}

    def clock(self):
        return FairClock(lambda pid: self.waited.get(pid, 0.0), lambda: self.wall)

    def pass_by(self, seconds, **waits):
        self.wall += seconds
        for pid, waited in waits.items():
            number = int(pid.removeprefix("p"))
            self.waited[number] = self.waited.get(number, 0.0) + waited


@pytest.fixture
def world():
    return World()


def test_a_process_that_runs_or_sleeps_is_timed_by_the_wall(world):
    clock = world.clock()
    clock.follow(1)
    world.pass_by(7)
    assert clock.now() == pytest.approx(7)


def test_waiting_for_a_processor_counts_little_and_never_nothing(world):
    clock = world.clock()
    clock.follow(1)
    world.pass_by(100, p1=90)
    assert clock.now() == pytest.approx(10)
    world.pass_by(100, p1=1000)  # ten threads
    assert clock.now() == pytest.approx(13)


def test_what_a_process_waited_before_it_was_followed_is_not_its_excuse(world):
    clock = world.clock()
    world.waited = {1: 500.0, 2: 900.0}
    clock.follow(1)
    world.pass_by(4)
    clock.follow(2)
    world.pass_by(4, p1=4)
    assert clock.now() == pytest.approx(8)


def test_a_thread_that_ends_does_not_set_the_clock_forward(world):
    clock = world.clock()
    clock.follow(1)
    world.pass_by(5, p1=5)
    before = clock.now()
    world.pass_by(5, p1=-5)
    assert clock.now() - before == pytest.approx(5)


def test_it_never_runs_backwards_between_two_looks(world):
    clock = world.clock()
    clock.follow(1)
    shown = []
    for _ in range(100):
        world.pass_by(0.02, p1=0.019)
        shown.append(clock.now())
    assert shown == sorted(shown)


def test_two_that_share_a_processor_wait_for_it_and_one_that_is_gone_does_not():
    core = min(os.sched_getaffinity(0))
    spin = (
        f"import os, time; os.sched_setaffinity(0, [{core}])\nwhile time.process_time() < 0.3: pass\nprint(1); input()"
    )
    command = [sys.executable, "-u", "-c", spin]
    pair = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    with pair[0], pair[1]:
        assert [process.stdout.readline() for process in pair] == [b"1\n", b"1\n"]
        assert sum(waited_s(process.pid) for process in pair) > 0.05
        for process in pair:
            process.communicate(b"\n", timeout=60)
    assert waited_s(pair[0].pid) == 0
