# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Asks TF for the rig until it knows, and hands the transform on once."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock, ClockType

from ivif_ros.errors import CalibrationError, MissingDependencyError
from ivif_ros.nodes.base import BaseNode
from ivif_ros.ros.tf import TfExtrinsics
from ivif_ros.types import Array

PERIOD_S = 1.0


class TfWatch:
    """Looks up the extrinsics every second until both cameras were seen and TF connects them.

    Without tf2_ros it warns once and does nothing.

    Args:
        node: node that listens to TF.
        frames: gives the frame_id of the RGB and of the thermal camera, empty while unknown.
        deliver: takes the (4, 4) transform RGB -> thermal optical frame in the executor's thread.
    """

    def __init__(self, node: BaseNode, frames: Callable[[], tuple[str, str]],
                 deliver: Callable[[Array], None]) -> None:
        """Start to listen."""
        self._node = node
        self._frames = frames
        self._deliver = deliver
        self._tf: TfExtrinsics | None = None
        self._timer = node.create_timer(PERIOD_S, node.guarded('registration', self._look),
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))
        try:
            self._tf = TfExtrinsics(node)
        except MissingDependencyError as error:
            self._timer.cancel()
            node.complain('registration.no_tf', str(error))

    def close(self) -> None:
        """Stop to listen."""
        self._node.destroy_timer(self._timer)
        if self._tf is not None:
            self._tf.close()
            self._tf = None

    def _look(self) -> None:
        rgb_frame, thermal_frame = self._frames()
        if self._tf is None or not (rgb_frame and thermal_frame):
            return
        try:
            transform = self._tf.lookup(rgb_frame, thermal_frame)
        except CalibrationError as error:
            self._node.complain('registration.no_tf', str(error))
            return
        # First deliver: where that fails, the next look tries again.
        self._deliver(transform)
        self._timer.cancel()
