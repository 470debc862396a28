# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames in, pairs out, in the executor's thread and with a timer for those that wait in vain."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from rclpy.clock import Clock, ClockType

from ivif_ros.nodes.base import BaseNode
from ivif_ros.parameters import SyncParameters
from ivif_ros.sync import Synchroniser
from ivif_ros.types import Frame, FramePair, Sensor

FAR_S = 3600.0


class Pairing:
    """Feeds a matcher and wakes up when the wait of its oldest frame is over.

    Args:
        node: node in whose executor the timer runs.
        matcher: pairs the frames.
        deliver: takes each pair in the executor's thread.

    Attributes:
        matcher: pairs the frames, and knows the offset between the clocks.
    """

    def __init__(self, node: BaseNode, matcher: Synchroniser,
                 deliver: Callable[[FramePair], None]) -> None:
        """Create the timer; it rests until a frame waits."""
        self._node = node
        self.matcher = matcher
        self._deliver = deliver
        self._deadline_ns: int | None = None
        # Steady, as Frame.received_ns is: the wait goes on while a simulation is paused.
        self._timer = node.create_timer(
            FAR_S, node.guarded('pair', self._on_timer),
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._timer.cancel()

    def add(self, sensor: Sensor, frame: Frame) -> None:
        """Take a frame of a camera."""
        self._send(self.matcher.add(sensor, frame))
        self._send(self.matcher.observe(sensor, frame))

    def set_parameters(self, params: SyncParameters) -> None:
        """Pair by new rules from now on."""
        self._send(self.matcher.set_parameters(params))

    def close(self) -> None:
        """Forget the frames that wait."""
        self._node.destroy_timer(self._timer)
        self.matcher.reset()

    def _on_timer(self) -> None:
        self._timer.cancel()
        self._deadline_ns = None
        self._send(self.matcher.poll(time.monotonic_ns()))

    def _send(self, pairs: Iterable[FramePair]) -> None:
        for pair in pairs:
            self._deliver(pair)
        deadline = self.matcher.next_deadline_ns()
        if deadline == self._deadline_ns:
            return
        self._deadline_ns = deadline
        if deadline is None:
            self._timer.cancel()
            return
        self._timer.timer_period_ns = max(deadline - time.monotonic_ns(), 0)
        self._timer.reset()
