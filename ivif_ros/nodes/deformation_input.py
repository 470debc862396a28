# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The deformation topic as the split nodes hear it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ivif_ros.nodes.base import BaseNode
from ivif_ros.ros import qos
from ivif_ros.ros.message_factory import stamp_of
from ivif_ros.ros.messages import deformation_from_message
from ivif_ros.ros.rclpy_messages import RclpyFactory
from ivif_ros.types import Deformation

KEPT = 32


class DeformationInput:
    """Keeps the newest deformations by the stamp of their image.

    Args:
        node: node that listens.
    """

    def __init__(self, node: BaseNode) -> None:
        """Subscribe."""
        self._node = node
        self._by_stamp: OrderedDict[int, Deformation] = OrderedDict()
        self._content: tuple[object, ...] = ()
        self._newest: Deformation | None = None
        self.thermal_frame_id = ''
        topic = str(node.resolve_topic_name('deformation'))
        self._subscription = node.create_subscription(
            RclpyFactory().message_class('ivif_ros/msg/Deformation'), topic,
            node.guarded('deformation', self._on_message), qos.record_output(),
            event_callbacks=qos.subscription_events(topic, self._on_qos),
            qos_overriding_options=qos.overridable())

    def of(self, stamp_ns: int) -> Deformation | None:
        """Deformation of the image with a stamp, else the newest; any thread may call."""
        return self._by_stamp.get(stamp_ns, self._newest)

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def _on_message(self, message: Any) -> None:
        content = (message.rgb_width, message.rgb_height, message.thermal_width,
                   message.thermal_height, message.homography.tobytes(), message.grid_width,
                   message.grid_height, message.displacement.tobytes(), message.source,
                   message.confidence, message.residual, message.confidence_width,
                   message.confidence_height, message.confidence_map.tobytes())
        if self._newest is None or content != self._content:
            # An equal one keeps its identity, by which maps made of it are found again.
            self._newest, self._content = deformation_from_message(message), content
        self.thermal_frame_id = message.thermal_frame_id
        self._by_stamp[stamp_of(message.header.stamp)] = self._newest
        while len(self._by_stamp) > KEPT:
            self._by_stamp.popitem(last=False)

    def _on_qos(self, topic: str, problem: str) -> None:
        self._node.complain('deformation.incompatible_qos', problem)
