# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One camera as a node hears it: image and camera_info topics become frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ivif_ros.nodes.base import BaseNode
from ivif_ros.nodes.monitor import RateMonitor
from ivif_ros.ros.diagnostics import Finding, Level
from ivif_ros.ros.image_codec import decode_image
from ivif_ros.ros.intrinsics import Intrinsics
from ivif_ros.ros.matched_subscription import MatchedSubscription
from ivif_ros.ros.message_factory import stamp_of
from ivif_ros.ros.topics import camera_info_topic, image_topic
from ivif_ros.types import Frame, Sensor, Size

FOLLOW_S = 0.5
"""Seconds between two looks at the QoS that publishers offer."""

SILENT_S = 2.0
"""Seconds without an image after which a camera counts as silent."""


class CameraInput:
    """Subscribes to one camera and delivers its usable images.

    Images are decoded in the callback: raw ones are views of the message, and of compressed ones
    the decoder runs beside the worker, which is busy with the pair before. What cannot be used is
    counted and logged here and goes no further.

    Args:
        node: node that listens.
        sensor: `rgb` or `thermal`; counters start with it.
        base: relative name of the raw image topic.
        transport: `raw` or `compressed`.
        deliver: takes each frame in the executor's thread.
    """

    def __init__(self, node: BaseNode, sensor: Sensor, base: str, transport: str,
                 deliver: Callable[[Frame], None]) -> None:
        """Subscribe."""
        self._node = node
        self._sensor = sensor
        self._deliver = deliver
        self._intrinsics = Intrinsics(self._complain)
        self._rate = RateMonitor()
        self._qos_problem = ''
        self._bad_image = ''
        self._size: Size | None = None
        self.frame_id = ''
        self.topic = image_topic(node, base, transport)
        info_topic = camera_info_topic(node, base, f"{base.rpartition('/')[0]}/camera_info")
        message_type = Image if transport == 'raw' else CompressedImage
        self._subscriptions = [
            MatchedSubscription(node, kind, topic, node.guarded(sensor, callback), self._on_qos)
            for kind, topic, callback in (
                (message_type, self.topic, self._on_image),
                (CameraInfo, info_topic, self._intrinsics.update))]
        self._timer = node.create_timer(
            FOLLOW_S, node.guarded(sensor, self._follow),
            clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions:
            subscription.close()
        self._subscriptions.clear()

    def finding(self) -> Finding:
        """State of this camera for the diagnostics."""
        age = self._rate.age()
        values: dict[str, object] = {
            'topic': self.topic, 'rate [Hz]': self._rate.rate(),
            'age [s]': 'never' if age is None else age,
            'size [px]': 'unknown' if self._size is None else f'{self._size[0]}x{self._size[1]}',
            'intrinsics': 'known' if self._intrinsics.known else 'unknown',
            **counts(self._node.counters.snapshot(), self._sensor)}
        if self._qos_problem:
            level, message = Level.ERROR, self._qos_problem
        elif age is None:
            level, message = (Level.ERROR, f'no usable image: {self._bad_image}') if (
                self._bad_image) else (Level.STALE, f"no image yet on '{self.topic}'")
        elif age > SILENT_S:
            level, message = Level.ERROR, f'silent for {age:.1f} s'
        elif self._bad_image:
            level, message = Level.WARN, self._bad_image
        else:
            level, message = Level.OK, 'receiving'
        return Finding(level, message, values, self.frame_id)

    def _follow(self) -> None:
        for subscription in self._subscriptions:
            subscription.follow()

    def _on_qos(self, topic: str, problem: str) -> None:
        self._qos_problem = problem
        self._complain('incompatible_qos', problem)

    def _complain(self, reason: str, message: str) -> None:
        self._node.complain(f'{self._sensor}.{reason}', f'{self._sensor}: {message}')

    def _on_image(self, message: Any) -> None:
        received_ns = time.monotonic_ns()
        try:
            image = decode_image(message, self._sensor)
            size = image.shape[1], image.shape[0]
            header = message.header
            frame = Frame(stamp_of(header.stamp), header.frame_id, image,
                          self._intrinsics.of(size), received_ns)
        except Exception as error:
            self._bad_image = str(error)
            raise
        self._bad_image = self._qos_problem = ''
        if frame.stamp_ns == 0:  # the matcher counts them
            self._node.warnings.say(
                f'{self._sensor}.zero_stamp', f'{self._sensor}: images have no stamp and are '
                'paired by their time of arrival; let the camera driver stamp them')
        self._rate.tick()
        self.frame_id, self._size = frame.frame_id, size
        self._deliver(frame)


def counts(snapshot: Mapping[str, int], subject: str) -> dict[str, int]:
    """Counters of one subject, named by their reason."""
    prefix = subject + '.'
    return {name[len(prefix):]: n for name, n in snapshot.items() if name.startswith(prefix)}
