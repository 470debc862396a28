# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Quality of service of the topics, and what happens when the other side does not match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSHistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    QoSReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks


def sensor_input(reliability: QoSReliabilityPolicy, depth: int = 5) -> QoSProfile:
    """Images in; for the reliability see MatchedSubscription.

    What the middleware overwrites is counted nowhere, so that a few images may wait; latency stays
    bounded because the mailbox of the worker has depth 1, and what is replaced there is counted.
    """
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability,
                      durability=QoSDurabilityPolicy.VOLATILE)


def image_output() -> QoSProfile:
    """Images out: reliable serves every subscriber (REP-2003), depth 1 never sends what is old."""
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=1,
                      reliability=QoSReliabilityPolicy.RELIABLE,
                      durability=QoSDurabilityPolicy.VOLATILE)


def record_output() -> QoSProfile:
    """Small messages out of which a recorder wants each one: status, deformation, detections."""
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=10,
                      reliability=QoSReliabilityPolicy.RELIABLE,
                      durability=QoSDurabilityPolicy.VOLATILE)


def latched_output() -> QoSProfile:
    """What a late subscriber must get too: label_info."""
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=1,
                      reliability=QoSReliabilityPolicy.RELIABLE,
                      durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


def overridable(*, reliability: bool = True) -> QoSOverridingOptions:
    """Declare `qos_overrides.<topic>...` parameters for history, depth, durability, reliability.

    Args:
        reliability: declare it too.
    """
    kinds = [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.DURABILITY]
    return QoSOverridingOptions([*kinds, QoSPolicyKind.RELIABILITY] if reliability else kinds)


def subscription_events(
        topic: str, report: Callable[[str, str], None],
        follows: Callable[[], bool] = lambda: False,
        lost: Callable[[int], None] | None = None) -> SubscriptionEventCallbacks:
    """Tell when a publisher offers less than the subscription asks for.

    Args:
        topic: full name, for the message.
        report: called with the topic and one clear sentence.
        follows: true while the reliability follows the publishers anyway, so that there is nothing
            to tell about it.
        lost: called with the number of messages that the middleware has lost; None for nobody.
    """
    def incompatible(event: Any) -> None:
        if follows() and _policy(event.last_policy_kind) == 'reliability':
            return
        report(topic, f"a publisher of '{topic}' offers an incompatible QoS "
               f'({_policy(event.last_policy_kind)}), its messages do not arrive; set '
               f"'qos_overrides.{topic}.subscription.{_policy(event.last_policy_kind)}' "
               'to what it offers')

    def message_lost(event: Any) -> None:
        if lost is not None:
            lost(int(event.total_count_change))
    return SubscriptionEventCallbacks(
        incompatible_qos=incompatible, message_lost=message_lost if lost is not None else None)


def publisher_events(topic: str, report: Callable[[str, str], None]) -> PublisherEventCallbacks:
    """Tell when a subscriber asks for more than the publisher offers; see subscription_events."""
    def incompatible(event: Any) -> None:
        report(topic, f"a subscriber of '{topic}' asks for an incompatible QoS "
               f'({_policy(event.last_policy_kind)}) and gets nothing')
    return PublisherEventCallbacks(incompatible_qos=incompatible)


def _policy(kind: Any) -> str:
    """Name a policy kind as its parameter is named."""
    try:
        return str(QoSPolicyKind(int(kind)).name).lower()
    except ValueError:
        return 'unknown policy'
