#!/usr/bin/env python3
# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes topics of the fusion node into a bag as they arrive, and when they arrived.

Messages are stored as the bytes that came over DDS; nothing is decoded. It stops on SIGINT and then
writes `<bag>.arrivals.json`: for each topic the stamps of the messages and their age at arrival.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.utilities import remove_ros_args

from ivif_ros.bags.file import header_stamp_ns
from ivif_ros.bags.writer import BagWriter
from ivif_ros.errors import IvifError, OutputError, ParameterError
from ivif_ros.ros.rclpy_messages import RclpyFactory

TOPICS = {
    'fused/image': 'sensor_msgs/msg/Image',
    'fused/camera_info': 'sensor_msgs/msg/CameraInfo',
    'thermal_registered/image': 'sensor_msgs/msg/Image',
    'thermal_registered/camera_info': 'sensor_msgs/msg/CameraInfo',
    'deformation': 'ivif_ros/msg/Deformation',
    'status': 'ivif_ros/msg/Status',
    'detections': 'vision_msgs/msg/Detection2DArray',
    'detections_thermal': 'vision_msgs/msg/Detection2DArray',
    'label_info': 'vision_msgs/msg/LabelInfo',
}
LATCHED = ('label_info',)


class Recorder(Node):
    """Subscribes to the outputs of the fusion node and writes what arrives.

    Args:
        path: bag to make.
        topics: names among TOPICS.
    """

    def __init__(self, path: Path, topics: Sequence[str]) -> None:
        """Open the bag and the subscriptions."""
        super().__init__('recorder')
        factory = RclpyFactory()
        self._writer = BagWriter(path)
        self.arrivals: dict[str, list[tuple[int, int]]] = {topic: [] for topic in topics}
        for topic in topics:
            durability = (QoSDurabilityPolicy.TRANSIENT_LOCAL if topic in LATCHED
                          else QoSDurabilityPolicy.VOLATILE)
            qos = QoSProfile(depth=20, reliability=QoSReliabilityPolicy.RELIABLE,
                             durability=durability)
            self.create_subscription(
                factory.message_class(TOPICS[topic]), topic, self._keeper(topic), qos, raw=True)

    def _keeper(self, topic: str) -> Callable[[Any], None]:
        msgtype = TOPICS[topic]
        name = self.resolve_topic_name(topic)

        def keep(cdr: bytes) -> None:
            now = time.time_ns()
            stamp = header_stamp_ns(cdr)
            self._writer.write_raw(name, msgtype, cdr, now, latched=topic in LATCHED)
            self.arrivals[topic].append((stamp, now - stamp))
        return keep

    def close(self) -> None:
        """Finish the bag."""
        self._writer.close()


def record(path: Path, topics: Sequence[str]) -> None:
    """Write topics until the process is told to end.

    Raises:
        OutputError: the files cannot be written.
    """
    recorder = Recorder(path, topics)
    try:
        with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
            rclpy.spin(recorder)
    finally:
        recorder.close()
        recorder.destroy_node()
    arrivals = path.with_name(f'{path.name}.arrivals.json')
    try:
        arrivals.write_text(json.dumps(recorder.arrivals))
    except OSError as error:
        raise OutputError(f"'{arrivals}' cannot be written: {error.strerror}") from error


def main(args: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='bag to make')
    parser.add_argument('--topics', nargs='+', default=list(TOPICS), help='topics to write')
    rclpy.init(args=None if args is None else list(args))
    options = parser.parse_args(remove_ros_args(args)[1 if args is None else 0:])
    try:
        unknown = sorted(set(options.topics) - set(TOPICS))
        if unknown:
            raise ParameterError(f'unknown topics {unknown}; known are {sorted(TOPICS)}')
        record(options.out, options.topics)
    except IvifError as error:
        print(f'recorder: error: {error}', file=sys.stderr)
        return 2
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
