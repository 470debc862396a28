# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""State of health on /diagnostics, as diagnostic_updater publishes it.

The Python diagnostic_updater is not part of every installation, and the format is small: an array
of `<node>: <task>` with a level, a sentence and texts by key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Finding:
    """What one task says.

    Attributes:
        level: how bad it is.
        message: one short sentence.
        values: figures by name; anything that `str` or a float format makes readable.
        hardware: device that the task is about, empty for the node's own.
    """

    level: Level
    message: str
    values: Mapping[str, object] = field(default_factory=dict)
    hardware: str = ''


class Diagnostics:
    """Publishes the findings of all tasks periodically.

    Args:
        node: node whose name and clock the messages carry.
        period_s: seconds of wall time between two messages.
        hardware_id: what tasks without a device of their own are about.
    """

    def __init__(self, node: Node, period_s: float, hardware_id: str) -> None:
        """Open the publisher; the first message comes after one period."""
        self._node = node
        self._hardware_id = hardware_id
        self._tasks: dict[str, Callable[[], Finding]] = {}
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # Steady clock: health must be told while a simulation is paused, too.
        self._timer = node.create_timer(
            period_s, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def add(self, name: str, task: Callable[[], Finding]) -> None:
        """Add or replace a task; it is called in the executor's thread."""
        self._tasks[name] = task

    def publish(self) -> None:
        """Publish the findings of now."""
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [self._status(name, task) for name, task in self._tasks.items()]
        self._publisher.publish(message)

    def close(self) -> None:
        """Stop publishing."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _status(self, name: str, task: Callable[[], Finding]) -> DiagnosticStatus:
        try:
            finding = task()
        except Exception as error:  # a defect here must not end the node
            finding = Finding(Level.ERROR, f'unexpected {error!r}')
        status = DiagnosticStatus()
        status.level = bytes([finding.level])
        status.name = f'{self._node.get_name()}: {name}'
        status.hardware_id = finding.hardware or self._hardware_id
        status.message = finding.message
        status.values = [KeyValue(key=key, value=_text(value))
                         for key, value in finding.values.items()]
        return status


def _text(value: object) -> str:
    return f'{value:.3f}' if isinstance(value, float) else str(value)
