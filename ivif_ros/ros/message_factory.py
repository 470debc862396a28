# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One way to make messages, whether their classes are those of rclpy or of rosbags."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class MessageFactory(ABC):
    """Makes messages by name."""

    @abstractmethod
    def message_class(self, name: str) -> type:
        """Return the class of a message.

        Args:
            name: such as `sensor_msgs/msg/Image`.

        Raises:
            MissingDependencyError: its package is not installed; the message says what to run.
        """

    @abstractmethod
    def make(self, name: str, /, **fields: Any) -> Any:
        """Make a message; fields that are not named have the default of the definition.

        Args:
            name: such as `sensor_msgs/msg/Image`.
            fields: values by field. Sequences and arrays of numbers are numpy arrays of any shape,
                strings, messages and lists of messages are themselves.

        Raises:
            MissingDependencyError: its package is not installed.
            TypeError: the message has no such field.
        """

    def time(self, stamp_ns: int) -> Any:
        """Return a builtin_interfaces/Time of nanoseconds."""
        return self.make('builtin_interfaces/msg/Time', sec=int(stamp_ns // 1_000_000_000),
                         nanosec=int(stamp_ns % 1_000_000_000))

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """Return a std_msgs/Header."""
        return self.make('std_msgs/msg/Header', stamp=self.time(stamp_ns), frame_id=frame_id)


def stamp_of(time: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time."""
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)
