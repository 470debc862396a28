# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairing by stamps whose offset is watched, and corrected where that is wanted."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from ivif_ros.counters import Counters
from ivif_ros.parameters import SyncParameters
from ivif_ros.sync.matcher import PairMatcher
from ivif_ros.sync.offset import OffsetEstimate, OffsetEstimator
from ivif_ros.sync.offset_filter import OffsetFilter
from ivif_ros.types import Frame, FramePair, Sensor, ThermalOffset


class Matcher(Protocol):
    """What pairs frames by their stamps."""

    def add(self, sensor: Sensor, frame: Frame) -> list[FramePair]:
        """Take a frame and return the pairs that it decides."""

    def poll(self, now_ns: int) -> list[FramePair]:
        """Return the pairs whose wait is over."""

    def next_deadline_ns(self) -> int | None:
        """When to poll next."""

    def flush(self) -> list[FramePair]:
        """Decide everything that waits."""

    def reset(self) -> None:
        """Forget everything."""

    def set_parameters(self, params: SyncParameters) -> list[FramePair]:
        """Take new parameters."""

    def set_thermal_offset(self, offset_ms: float) -> list[FramePair]:
        """Take another offset of the thermal stamps."""


class Synchroniser:
    """A matcher, and beside it the estimation of the offset between the clocks.

    Call `add` for each frame, hand on the pairs, then call `observe` with the same frame: the look
    at its image delays no pair. Results depend on the sequence of calls alone, so a replay gives
    the pairs of the robot. Counter `sync.offset_change` counts changes of the offset.

    With `sync.offset_estimation` at `apply`, thermal stamps get what the estimate says instead of
    `sync.thermal_offset_ms`, from the moment when it is sure to be better; see OffsetFilter.
    """

    def __init__(self, params: SyncParameters, counters: Counters,
                 matcher: Matcher | None = None) -> None:
        """Start with the offsets of the parameters.

        Args:
            params: pairing and estimation.
            counters: where losses and events are counted.
            matcher: pairs the frames; a PairMatcher when left out.
        """
        self._counters = counters
        self._matcher = matcher or PairMatcher(params, counters)
        self._params = params
        self._filter = OffsetFilter()
        self._estimator: OffsetEstimator | None = None
        self._in_use_ms = params.thermal_offset_ms
        self._configure()

    @property
    def offset(self) -> ThermalOffset:
        """Offset in use and estimate."""
        estimate = self.estimate
        return ThermalOffset(self._in_use_ms - self._params.rgb_offset_ms, estimate.offset_ms,
                             estimate.std_ms)

    @property
    def in_use_ms(self) -> float:
        """What is added to thermal stamps now, as `sync.thermal_offset_ms` would be."""
        return self._in_use_ms

    @property
    def estimate(self) -> OffsetEstimate:
        """What `sync.thermal_offset_ms` should be, filtered over time."""
        if self._estimator is None:
            return OffsetEstimate(reason='switched off (sync.offset_estimation)')
        found = self._filter.estimate
        return dataclasses.replace(found, offset_ms=found.offset_ms + self._params.rgb_offset_ms)

    def add(self, sensor: Sensor, frame: Frame) -> list[FramePair]:
        """Take a frame and return the pairs that it decides."""
        return self._tell(self._matcher.add(sensor, frame))

    def observe(self, sensor: Sensor, frame: Frame) -> list[FramePair]:
        """Look at the image of a frame that was added; costs about a millisecond.

        Returns:
            Pairs that a change of the offset decides, most often none.
        """
        if self._estimator is None or not self._estimator.add(
                sensor, frame.stamp_ns, frame.image):
            return []
        self._filter.add(self._estimator.estimate)
        if self._params.offset_estimation != 'apply':
            return []
        rgb_ms = self._params.rgb_offset_ms
        change = self._filter.change(self._in_use_ms - rgb_ms)
        if change is None:
            return []
        self._counters.add('sync.offset_change')
        self._in_use_ms = change + rgb_ms
        return self._tell(self._matcher.set_thermal_offset(self._in_use_ms))

    def poll(self, now_ns: int) -> list[FramePair]:
        """Return the pairs whose wait is over, in the clock of `Frame.received_ns`."""
        return self._tell(self._matcher.poll(now_ns))

    def next_deadline_ns(self) -> int | None:
        """When to call `poll` next; None while nothing waits."""
        return self._matcher.next_deadline_ns()

    def flush(self) -> list[FramePair]:
        """Decide everything that waits with what is there, as at the end of a recording."""
        return self._tell(self._matcher.flush())

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self._matcher.reset()
        self._filter.reset()
        if self._estimator is not None:
            self._estimator.reset()

    def set_parameters(self, params: SyncParameters) -> list[FramePair]:
        """Take new parameters; what waits is decided by the old ones and returned.

        A new offset holds until the estimate differs from it again. The images that were seen
        still count.
        """
        old, before = self._params, self.offset
        kept = (params.offset_estimation == 'apply' == old.offset_estimation
                and params.thermal_offset_ms == old.thermal_offset_ms
                and params.rgb_offset_ms == old.rgb_offset_ms)
        if not kept:
            self._in_use_ms = params.thermal_offset_ms
        self._params = params
        self._configure()
        return _told(before, self._matcher.set_parameters(
            dataclasses.replace(params, thermal_offset_ms=self._in_use_ms)))

    def _configure(self) -> None:
        params = self._params
        if params.offset_estimation == 'off':
            self._estimator = None
            self._filter.reset()
            return
        if self._estimator is None:
            self._estimator = OffsetEstimator()
        self._estimator.expected_ms = params.thermal_offset_ms - params.rgb_offset_ms

    def _tell(self, pairs: list[FramePair]) -> list[FramePair]:
        return _told(self.offset, pairs)


def _told(offset: ThermalOffset, pairs: list[FramePair]) -> list[FramePair]:
    """Write into pairs by which offset they were found."""
    return [dataclasses.replace(pair, offset=offset) for pair in pairs]
