# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Counters: what counts as a loss, and that no thread's count is lost."""

import threading

import pytest

from ivif_ros.counters import Counters, is_loss


@pytest.mark.parametrize(('name', 'loss'), [
    ('rgb.late', True), ('thermal.bad_encoding', True), ('pair.replaced', True),
    ('detection.replaced', True), ('rgb.clock_jump', False), ('thermal.zero_stamp', False),
    ('rgb.incompatible_qos', False), ('registration.accepted', False), ('node.defect', False),
    ('rgb', True),
])
def test_losses_are_told_from_events(name, loss):
    assert is_loss(name) is loss


def test_snapshot_is_a_sorted_copy():
    counters = Counters()
    counters.add('thermal.late', 2)
    counters.add('rgb.late')
    counters.add('rgb.clock_jump')
    counters.add('rgb.late', 4)
    seen = counters.snapshot()
    assert list(seen.items()) == [('rgb.clock_jump', 1), ('rgb.late', 5), ('thermal.late', 2)]
    assert counters.losses() == {'rgb.late': 5, 'thermal.late': 2}
    seen['rgb.late'] = 0
    assert counters.snapshot()['rgb.late'] == 5
    counters.reset()
    assert counters.snapshot() == {}


def test_threads_lose_no_count():
    counters = Counters()
    together = threading.Barrier(4)

    def work(name):
        together.wait(10)
        for _ in range(2000):
            counters.add('pair.late')
            counters.add(name)
    threads = [threading.Thread(target=work, args=(f'rgb.{i}',)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.snapshot() == {'pair.late': 8000, **{f'rgb.{i}': 2000 for i in range(4)}}
