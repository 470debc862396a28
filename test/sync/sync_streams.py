# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Streams of frames and a plain player for the tests of the matcher."""

from collections.abc import Iterable

import numpy as np

from ivif_ros.counters import Counters
from ivif_ros.parameters import SyncParameters
from ivif_ros.sync import LOSSES, PairMatcher
from ivif_ros.types import Frame, FramePair

IMAGE = np.zeros((1, 1), np.uint8)
MS = 1_000_000
BASE = 1_700_000_000_000 * MS
"""Stamps and receive times have different clocks, as they do in life."""

Event = tuple[str, Frame]


def frame(stamp_ms, received_ms=None, sensor='rgb'):
    """A frame stamped after BASE, received at the same number of milliseconds unless said."""
    received_ms = stamp_ms if received_ms is None else received_ms
    return Frame(BASE + round(stamp_ms * MS), sensor, IMAGE,
                 received_ns=1 + round((1000 + received_ms) * MS))


def camera(sensor, stamps_ms, delay_ms=0.0):
    """Events of one camera; delay_ms is a number or one number per frame."""
    delays = np.broadcast_to(delay_ms, len(stamps_ms))
    return [(sensor, frame(stamp, stamp + delay, sensor))
            for stamp, delay in zip(stamps_ms, delays, strict=True)]


def merged(*cameras):
    """Events of all cameras in the order of arrival."""
    return sorted((event for events in cameras for event in events),
                  key=lambda event: event[1].received_ns)


class Player:
    """Feeds a matcher as a node would: polls when the matcher asks for it."""

    def __init__(self, **params):
        self.counters = Counters()
        self.matcher = PairMatcher(SyncParameters(**params), self.counters)
        self.out: list[FramePair] = []
        self.times: list[int] = []
        self.now = 0

    def _take(self, pairs, now_ns):
        self.out += pairs
        self.times += [now_ns] * len(pairs)

    def poll_until(self, now_ns):
        while (deadline := self.matcher.next_deadline_ns()) is not None and deadline <= now_ns:
            self._take(self.matcher.poll(deadline), deadline)
            after = self.matcher.next_deadline_ns()
            assert after is None or after > deadline, 'poll at the deadline changed nothing'

    def play(self, events: Iterable[Event], flush=True):
        for sensor, item in events:
            self.now = item.received_ns
            self.poll_until(self.now)
            self._take(self.matcher.add(sensor, item), item.received_ns)
        if flush:
            self._take(self.matcher.flush(), self.now)
        return self

    def stamps(self):
        """(RGB stamp, thermal stamp) in ms after BASE, None for missing."""
        def ms(item):
            return None if item is None else round((item.stamp_ns - BASE) / MS, 3)
        return [(ms(pair.rgb), ms(pair.thermal)) for pair in self.out]

    def latencies_ms(self):
        """How long after its later frame each pair left."""
        return [(time - pair.received_ns) / MS
                for time, pair in zip(self.times, self.out, strict=True)]

    def counts(self):
        return self.counters.snapshot()

    def losses(self, sensor):
        return sum(count for name, count in self.counts().items()
                   if name.split('.')[0] == sensor and name.split('.')[1] in LOSSES)


def best_total(rgb, thermal, tolerance):
    """Largest total worth of all one-to-one assignments, crossing or not, by trying them all."""
    if not rgb:
        return 0
    best = best_total(rgb[1:], thermal, tolerance)
    for index, other in enumerate(thermal):
        if abs(other - rgb[0]) <= tolerance:
            rest = thermal[:index] + thermal[index + 1:]
            best = max(best, tolerance + 1 - abs(other - rgb[0])
                       + best_total(rgb[1:], rest, tolerance))
    return best
