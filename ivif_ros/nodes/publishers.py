# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Publishers of one node: opened with their QoS, closed together."""

from __future__ import annotations

from typing import Any

from rclpy.qos import QoSProfile

from ivif_ros.nodes.base import BaseNode
from ivif_ros.ros import qos


class Publishers:
    """Opens lifecycle publishers and closes all of them.

    Args:
        node: node that publishes.
    """

    def __init__(self, node: BaseNode) -> None:
        """Start with none."""
        self._node = node
        self._open: list[Any] = []

    def open(self, message_type: type, topic: str, profile: QoSProfile) -> Any:
        """Open one; its QoS may be overridden, and a subscriber that does not fit is reported."""
        resolved = str(self._node.resolve_topic_name(topic))
        publisher = self._node.create_lifecycle_publisher(
            message_type, topic, profile,
            event_callbacks=qos.publisher_events(resolved, self._on_qos),
            qos_overriding_options=qos.overridable())
        self._open.append(publisher)
        return publisher

    def close(self) -> None:
        """Close all."""
        for publisher in self._open:
            self._node.destroy_lifecycle_publisher(publisher)
        self._open.clear()

    def _on_qos(self, topic: str, problem: str) -> None:
        self._node.complain('output.incompatible_qos', problem)


def heard(publisher: Any) -> bool:
    """True where somebody listens to a publisher."""
    return bool(publisher.get_subscription_count() > 0)
