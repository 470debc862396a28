# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A subscription to images that asks for as much reliability as its publishers offer.

A best effort subscription matches every publisher, but images are larger than what the middleware
sends in one piece, and one lost piece loses the image: `benchmarks/transport.py` counts half of the
images at best effort and all at reliable (Fast DDS of Jazzy as it comes). A reliable subscription
gets nothing from a best effort publisher. So it is reliable unless a publisher is not.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSReliabilityPolicy
from rclpy.subscription import Subscription

from ivif_ros.ros import qos
from ivif_ros.ros.parameters import start_values

RELIABLE, BEST_EFFORT = QoSReliabilityPolicy.RELIABLE, QoSReliabilityPolicy.BEST_EFFORT


class MatchedSubscription:
    """Subscribes to images and follows the reliability of the publishers.

    The parameter `qos_overrides.<topic>.subscription.reliability` fixes the reliability.

    Args:
        node: node that subscribes.
        message_type: type of the messages.
        topic: full name.
        callback: takes each message, and where it has a second argument what rclpy knows about it.
        report: called with the topic and a sentence when a publisher cannot match.
        raw: give the callback the serialised messages.
        depth: messages that may wait for the callback.
        lost: called with the number of messages that the middleware has lost.
    """

    def __init__(self, node: Node, message_type: type, topic: str,
                 callback: Callable[..., None], report: Callable[[str, str], None], *,
                 raw: bool = False, depth: int = 5,
                 lost: Callable[[int], None] | None = None) -> None:
        """Subscribe."""
        self._node = node
        self._topic = topic
        self._fixed = f'qos_overrides.{topic}.subscription.reliability' in start_values(node)
        self._reliability = self._offered()

        def subscribe() -> Subscription:
            return node.create_subscription(
                message_type, topic, callback, qos.sensor_input(self._reliability, depth),
                event_callbacks=qos.subscription_events(
                    topic, report, follows=lambda: not self._fixed, lost=lost), raw=raw,
                qos_overriding_options=qos.overridable(reliability=self._fixed))
        self._subscribe = subscribe
        self._subscription = subscribe()

    def follow(self) -> None:
        """Subscribe anew if the publishers offer something else by now; call it now and then."""
        offered = self._offered()
        if self._fixed or offered == self._reliability:
            return
        self._reliability = offered
        self._node.destroy_subscription(self._subscription)
        self._subscription = self._subscribe()

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def _offered(self) -> QoSReliabilityPolicy:
        publishers = self._node.get_publishers_info_by_topic(self._topic)
        if any(item.qos_profile.reliability == BEST_EFFORT for item in publishers):
            return BEST_EFFORT
        return RELIABLE
