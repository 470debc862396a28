# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairing by message_filters' approximate synchroniser, behind the interface of PairMatcher.

It gives pairs of both cameras only: no partial pairs, no bounded wait, no held frames. What it
drops without a word is counted here, and since it falls silent when stamps go back, it is made anew
then.
"""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

from builtin_interfaces.msg import Time

from ivif_ros.counters import Counters
from ivif_ros.errors import MissingDependencyError
from ivif_ros.parameters import SyncParameters
from ivif_ros.sync.stream import JUMP_NS
from ivif_ros.types import Frame, FramePair, Sensor

SENSORS: tuple[Sensor, Sensor] = ('rgb', 'thermal')


class MessageFiltersMatcher:
    """Pairs frames with message_filters.ApproximateTimeSynchronizer.

    Args:
        params: tolerance, offsets and queue size; the other values do not apply.
        counters: `rgb.unpaired`, `thermal.unpaired` and `*.clock_jump`.

    Raises:
        MissingDependencyError: message_filters is not installed.
    """

    def __init__(self, params: SyncParameters, counters: Counters) -> None:
        """Make the synchroniser."""
        try:
            import message_filters
        except ImportError as error:
            raise MissingDependencyError(
                f"sync.policy is 'message_filters', which is not installed ({error}); install "
                "ros-$ROS_DISTRO-message-filters or set sync.policy to 'native'") from error
        self._library = message_filters
        self._counters = counters
        self._params = params
        self._ready: list[FramePair] = []
        self._make()

    def set_parameters(self, params: SyncParameters) -> list[FramePair]:
        """Take new parameters; frames that wait are dropped and counted."""
        self.reset()
        self._params = params
        self._make()
        return []

    def set_thermal_offset(self, offset_ms: float) -> list[FramePair]:
        """Pair by another offset; frames that wait are dropped and counted."""
        return self.set_parameters(
            dataclasses.replace(self._params, thermal_offset_ms=offset_ms))

    def add(self, sensor: Sensor, frame: Frame) -> list[FramePair]:
        """Take a frame and return the pairs that it completes."""
        index = SENSORS.index(sensor)
        offset_ms = (self._params.rgb_offset_ms, self._params.thermal_offset_ms)[index]
        time_ns = max(frame.stamp_ns + round(offset_ms * 1e6), 0)
        newest = self._newest_ns[index]
        if newest is not None and time_ns < newest - JUMP_NS:
            self._counters.add(f'{sensor}.clock_jump')
            self.reset()
        self._newest_ns[index] = time_ns
        self._waiting[index].add(time_ns)
        stamp = Time(sec=time_ns // 1_000_000_000, nanosec=time_ns % 1_000_000_000)
        self._filters[index].signalMessage(
            SimpleNamespace(header=SimpleNamespace(stamp=stamp), frame=frame, ns=time_ns))
        self._count_dropped()
        ready, self._ready = self._ready, []
        return ready

    def poll(self, now_ns: int) -> list[FramePair]:
        """Nothing ever becomes a pair by waiting."""
        return []

    def next_deadline_ns(self) -> int | None:
        """There is no deadline."""
        return None

    def flush(self) -> list[FramePair]:
        """Drop what waits, as there are no partial pairs."""
        self.reset()
        return []

    def reset(self) -> None:
        """Forget everything; frames that wait are counted as unpaired."""
        for sensor, waiting in zip(SENSORS, self._waiting, strict=True):
            if waiting:
                self._counters.add(f'{sensor}.unpaired', len(waiting))
        self._make()

    def _make(self) -> None:
        self._filters = [self._library.SimpleFilter() for _ in SENSORS]
        self._synchroniser = self._library.ApproximateTimeSynchronizer(
            self._filters, self._params.queue_size, self._params.tolerance_ms * 1e-3)
        self._synchroniser.registerCallback(self._on_pair)
        self._waiting: list[set[int]] = [set(), set()]
        self._newest_ns: list[int | None] = [None, None]

    def _on_pair(self, rgb: Any, thermal: Any) -> None:
        # Called with the lock of the synchroniser held, which an exception would leave locked.
        self._waiting[0].discard(rgb.ns)
        self._waiting[1].discard(thermal.ns)
        self._ready.append(FramePair(rgb.frame, thermal.frame, thermal.ns - rgb.ns))

    def _count_dropped(self) -> None:
        for index, sensor in enumerate(SENSORS):
            dropped = self._waiting[index] - set(self._synchroniser.queues[index])
            if dropped:
                self._counters.add(f'{sensor}.unpaired', len(dropped))
                self._waiting[index] -= dropped
