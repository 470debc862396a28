# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairing that watches the time offset: reports it, applies it once, counts right."""

import math

import moving_streams as ms
import numpy as np
import pytest

from ivif_ros.bags.pairs import paired
from ivif_ros.counters import Counters
from ivif_ros.frame_source import FrameSource
from ivif_ros.parameters import SyncParameters
from ivif_ros.sync import OffsetEstimate, PairMatcher, Synchroniser
from ivif_ros.sync.matcher import LOSSES
from ivif_ros.sync.offset_filter import OffsetFilter
from ivif_ros.types import Frame

LAG_MS = 80.0
TRANSPORT = (10.0, 20.0)


@pytest.fixture(scope='module')
def frames():
    return ms.stamped(ms.stream(ms.World(), 11.0), LAG_MS, TRANSPORT)


class Recording(FrameSource):
    """Frames that are there already."""

    def __init__(self, frames):
        super().__init__()
        self._frames = frames

    def frames(self):
        yield from self._frames

    def describe(self):
        return 'frames'


def run(frames, **params):
    counters = Counters()
    synchroniser = Synchroniser(SyncParameters(**params), counters)
    pairs = [pair for pair, _ in paired(Recording(frames), synchroniser)]
    return synchroniser, pairs, counters.snapshot()


def true_skew_ms(pair):
    return (pair.thermal.stamp_ns - pair.rgb.stamp_ns) / ms.MS - LAG_MS


def test_reported_but_not_used(frames):
    synchroniser, pairs, counts = run(frames, pairing='match')
    assert synchroniser.estimate.offset_ms == pytest.approx(-LAG_MS, abs=5.0)
    assert synchroniser.offset.in_use_ms == 0.0
    assert 'sync.offset_change' not in counts
    assert {pair.offset.in_use_ms for pair in pairs} == {0.0}
    assert math.isnan(pairs[0].offset.estimate_ms)
    assert pairs[-1].offset.estimate_ms == pytest.approx(-LAG_MS, abs=5.0)
    assert 0 < pairs[-1].offset.std_ms < 10


@pytest.mark.parametrize('pairing', ['match', 'hold'])
def test_applied_once_and_paired_right_from_then_on(frames, pairing):
    _, pairs, counts = run(frames, pairing=pairing, offset_estimation='apply', max_wait_ms=120.0)
    assert counts['sync.offset_change'] == 1
    offsets = [pair.offset.in_use_ms for pair in pairs]
    assert offsets == sorted(offsets, reverse=True)
    assert len(set(offsets)) == 2
    after = [pair for pair in pairs if pair.offset.in_use_ms != 0.0][3:-3]
    assert len(after) > 50
    assert all(pair.rgb is not None and pair.thermal is not None for pair in after)
    assert all(abs(true_skew_ms(pair)) < 20 for pair in after)
    # Before, stamps that look alike belong to other moments.
    assert max(abs(true_skew_ms(pair)) for pair in pairs[5:60] if pair.thermal) > 60


def test_every_frame_goes_out_once_or_is_counted(frames):
    _, pairs, counts = run(frames, pairing='match', offset_estimation='apply', max_wait_ms=120.0)
    for sensor in ('rgb', 'thermal'):
        sent = [id(getattr(pair, sensor)) for pair in pairs if getattr(pair, sensor) is not None]
        assert len(sent) == len(set(sent))
        lost = sum(count for name, count in counts.items()
                   if name.startswith(f'{sensor}.') and name.split('.')[1] in LOSSES)
        assert len(sent) + lost == sum(item[0] == sensor for item in frames)


def test_replay_gives_what_a_node_gives(frames):
    """The node polls when its timer fires; the replay does it by the receive times."""
    params = {'pairing': 'hold', 'offset_estimation': 'apply'}
    synchroniser, live = Synchroniser(SyncParameters(**params), Counters()), []
    for sensor, frame in frames:
        while (due := synchroniser.next_deadline_ns()) is not None and due < frame.received_ns:
            live += synchroniser.poll(due)
        live += synchroniser.add(sensor, frame)
        live += synchroniser.observe(sensor, frame)
    live += synchroniser.flush()
    _, replayed, _ = run(frames, **params)
    assert [(id(p.rgb), id(p.thermal), repr(p.offset)) for p in live] == [
        (id(p.rgb), id(p.thermal), repr(p.offset)) for p in replayed]


def test_offsets_of_the_parameters_are_part_of_the_estimate(frames):
    synchroniser, _, _ = run(frames, thermal_offset_ms=-60.0, rgb_offset_ms=30.0)
    assert synchroniser.estimate.offset_ms == pytest.approx(30.0 - LAG_MS, abs=5.0)
    assert synchroniser.offset.in_use_ms == -90.0
    # A given offset that is right already stays.
    _, _, counts = run(frames, thermal_offset_ms=-LAG_MS, offset_estimation='apply')
    assert 'sync.offset_change' not in counts


def test_switched_off():
    synchroniser = Synchroniser(SyncParameters(offset_estimation='off'), Counters())
    assert synchroniser.observe('rgb', Frame(1, 'rgb', np.zeros((4, 4, 3), np.uint8))) == []
    assert not synchroniser.estimate.known
    assert 'off' in synchroniser.estimate.reason


def test_parameters_at_run_time(frames):
    synchroniser = Synchroniser(SyncParameters(offset_estimation='apply'), Counters())
    for sensor, frame in frames:
        synchroniser.add(sensor, frame)
        synchroniser.observe(sensor, frame)
    found = synchroniser.in_use_ms
    assert found == pytest.approx(-LAG_MS, abs=5.0)
    synchroniser.set_parameters(SyncParameters(offset_estimation='apply', max_wait_ms=90.0))
    assert synchroniser.in_use_ms == found
    synchroniser.set_parameters(SyncParameters(offset_estimation='report'))
    assert synchroniser.in_use_ms == 0.0
    assert synchroniser.estimate.known


# Matcher and filter by themselves

def plain(stamp_ms, sensor, received_ms):
    return Frame(ms.BASE + round(stamp_ms * ms.MS), sensor, np.zeros((1, 1), np.uint8),
                 received_ns=1 + round(received_ms * ms.MS))


def test_frames_that_wait_change_with_the_offset():
    counters = Counters()
    matcher = PairMatcher(SyncParameters(pairing='match', max_wait_ms=500.0), counters)
    for stamp_ms in (150.0, 183.0, 216.0):
        assert matcher.add('thermal', plain(stamp_ms, 'thermal', stamp_ms - 150.0)) == []
    assert matcher.set_thermal_offset(-152.0) == []
    pairs = [pair for stamp_ms in (0.0, 33.0, 66.0)
             for pair in matcher.add('rgb', plain(stamp_ms, 'rgb', stamp_ms + 20.0))]
    pairs += matcher.flush()
    assert [(pair.rgb.stamp_ns - ms.BASE, pair.thermal.stamp_ns - ms.BASE, pair.skew_ns)
            for pair in pairs] == [(t * ms.MS, (t + 150) * ms.MS, -2 * ms.MS) for t in (0, 33, 66)]
    assert counters.snapshot() == {}


def known(offset_ms, std_ms=4.0):
    return OffsetEstimate(offset_ms, std_ms, 1.0, '')


def test_the_filter_waits_for_estimates_that_agree():
    chosen = OffsetFilter()
    for offset in (-80.0, 120.0):
        chosen.add(known(offset))
        assert chosen.change(0.0) is None
    for offset in (-82.0, -78.0):
        chosen.add(known(offset))
    assert chosen.change(0.0) == pytest.approx(-79.0)
    assert chosen.change(-76.0) is None
    chosen.add(OffsetEstimate(reason='no motion that both cameras see'))
    assert chosen.change(0.0) is None
    assert not chosen.estimate.known
    chosen.add(known(-80.0))
    assert chosen.estimate.offset_ms == -80.0


def test_the_filter_ignores_what_is_not_sure():
    chosen = OffsetFilter()
    for _ in range(5):
        chosen.add(known(-30.0, std_ms=18.0))
    assert chosen.change(0.0) is None
    assert chosen.change(20.0) == -30.0
    for offset in (-150.0, 150.0, -70.0, 90.0, 10.0):
        chosen.add(known(offset))
    assert chosen.change(300.0) is None
