# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairing by message_filters where it is installed, and the message where it is not."""

import builtins
import importlib.util

import numpy as np
import pytest

from ivif_ros.counters import Counters
from ivif_ros.errors import MissingDependencyError
from ivif_ros.parameters import SyncParameters
from ivif_ros.types import Frame

pytest.importorskip('rclpy')

from ivif_ros.ros.message_filters_matcher import MessageFiltersMatcher

installed = pytest.mark.skipif(
    importlib.util.find_spec('message_filters') is None,
    reason='message_filters is not installed (any ROS 2 distribution has it)')
MS = 1_000_000


def frame(ms):
    return Frame(1_000_000 * MS + ms * MS, 'camera', np.zeros((2, 2), np.uint8))


def feed(matcher, frames):
    pairs = []
    for sensor, ms in frames:
        pairs += matcher.add(sensor, frame(ms))
    return [(pair.rgb.stamp_ns // MS - 1_000_000, pair.skew_ns // MS) for pair in pairs]


def test_without_it_the_message_says_what_to_do(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == 'message_filters':
            raise ImportError("No module named 'message_filters'")
        return real(name, *args, **kwargs)
    monkeypatch.setattr(builtins, '__import__', missing)
    with pytest.raises(MissingDependencyError, match=r"sync\.policy to 'native'"):
        MessageFiltersMatcher(SyncParameters(policy='message_filters'), Counters())


@installed
def test_pairs_within_the_tolerance_and_counts_the_rest():
    counters = Counters()
    matcher = MessageFiltersMatcher(SyncParameters(queue_size=2), counters)
    pairs = feed(matcher, [('rgb', 0), ('thermal', 5), ('rgb', 100), ('rgb', 200), ('rgb', 300),
                           ('thermal', 310)])
    assert pairs == [(0, 5), (300, 10)]
    assert counters.snapshot() == {'rgb.unpaired': 1}
    matcher.reset()
    assert counters.snapshot() == {'rgb.unpaired': 2}


@installed
def test_offset_is_added_before_pairing():
    matcher = MessageFiltersMatcher(SyncParameters(thermal_offset_ms=-200.0), Counters())
    assert feed(matcher, [('rgb', 0), ('thermal', 203)]) == [(0, 3)]


@installed
def test_goes_on_after_a_recording_starts_again():
    counters = Counters()
    matcher = MessageFiltersMatcher(SyncParameters(), counters)
    lap = [(sensor, ms) for ms in range(0, 3000, 100) for sensor in ('rgb', 'thermal')]
    assert len(feed(matcher, lap)) == 30
    assert len(feed(matcher, lap)) == 30
    assert counters.snapshot()['rgb.clock_jump'] == 1
