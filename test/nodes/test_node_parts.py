# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Mailbox, throttled complaints and rates, which need no ROS."""

import threading

import pytest

from ivif_ros.nodes.complaints import Complaints
from ivif_ros.nodes.monitor import RateMonitor
from ivif_ros.nodes.worker import Worker

DEADLINE_S = 10.0


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def worker():
    """A worker that holds its first item until it is released."""
    class Held:
        def __init__(self):
            self.busy, self.release = threading.Event(), threading.Event()
            self.handled, self.errors = [], []
            self.done = threading.Semaphore(0)
            self.worker = Worker('test', self.handle, self.errors.append)

        def handle(self, item):
            self.busy.set()
            assert self.release.wait(DEADLINE_S)
            self.handled.append((item, threading.current_thread().name))
            self.done.release()
            if item == 'bad':
                raise ValueError(item)
    held = Held()
    yield held
    held.release.set()
    held.worker.stop()


def test_newest_item_replaces_the_one_that_waits(worker):
    assert worker.worker.put('first') is False
    assert worker.busy.wait(DEADLINE_S)
    assert worker.worker.put('second') is False
    assert worker.worker.put('third') is True
    worker.release.set()
    for _ in range(2):
        assert worker.done.acquire(timeout=DEADLINE_S)
    assert [item for item, _ in worker.handled] == ['first', 'third']
    assert {name for _, name in worker.handled} == {'test'}


def test_an_exception_is_reported_and_the_thread_goes_on(worker):
    worker.release.set()
    worker.worker.put('bad')
    assert worker.done.acquire(timeout=DEADLINE_S)
    assert worker.worker.call(lambda: 'alive').result(DEADLINE_S) == 'alive'
    assert [str(error) for error in worker.errors] == ['bad']


def test_a_call_runs_in_the_thread_and_returns_value_or_exception(worker):
    name = worker.worker.call(lambda: threading.current_thread().name)
    assert name.result(DEADLINE_S) == 'test'
    with pytest.raises(ZeroDivisionError):
        worker.worker.call(lambda: 1 // 0).result(DEADLINE_S)


def test_stop_forgets_what_waits_and_cancels_calls(worker):
    worker.worker.put('first')
    assert worker.busy.wait(DEADLINE_S)
    worker.worker.put('second')
    waiting = worker.worker.call(lambda: None)
    stopper = threading.Thread(target=worker.worker.stop)
    stopper.start()
    while not waiting.cancelled():
        stopper.join(0.01)
    worker.release.set()
    stopper.join(DEADLINE_S)
    assert [item for item, _ in worker.handled] == ['first']
    assert worker.worker.call(lambda: None).cancelled()


def test_complaints_are_throttled_by_kind_and_tell_how_many_were_hidden():
    clock, lines = Clock(), []
    complaints = Complaints(lines.append, 5.0, clock)
    complaints.say('a', 'bad a')
    complaints.say('a', 'bad a')
    complaints.say('b', 'bad b')
    clock.now += 5.1
    complaints.say('a', 'bad a')
    assert lines == ['bad a', 'bad b', 'bad a (1 more since the last time)']


def test_rate_and_age():
    clock = Clock()
    monitor = RateMonitor(5.0, clock)
    assert (monitor.rate(), monitor.age()) == (0.0, None)
    for _ in range(11):
        monitor.tick()
        clock.now += 0.1
    assert monitor.rate() == pytest.approx(10 / 1.1)
    assert monitor.age() == pytest.approx(0.1)
    clock.now += 6.0
    assert monitor.rate() == 0.0
    assert monitor.age() == pytest.approx(6.1)
