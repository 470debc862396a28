# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes what the fusion node publishes, and what it hears, into a recording.

Messages are stored as the bytes that came over DDS, with the time at which they came. Images can be
compressed on the way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import rclpy
from rclpy._rclpy_pybind11 import RCLError, UnknownROSArgsError
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription

from ivif_ros.bags.outputs import Compression, ImageWriter
from ivif_ros.bags.writer import BagWriter
from ivif_ros.counters import Counters
from ivif_ros.errors import ImageError, ParameterError
from ivif_ros.ros import qos
from ivif_ros.ros.image_codec import decode_image
from ivif_ros.ros.matched_subscription import MatchedSubscription
from ivif_ros.ros.message_factory import stamp_of
from ivif_ros.ros.rclpy_messages import RclpyFactory
from ivif_ros.ros.rosbags_messages import RosbagsFactory
from ivif_ros.ros.topics import camera_info_topic, image_topic
from ivif_ros.ros.typestore import typestore
from ivif_ros.types import Sensor

IMAGE, COMPRESSED_IMAGE = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
OUTPUTS = {
    'fused/image': IMAGE,
    'fused/camera_info': CAMERA_INFO,
    'fused/weight': IMAGE,
    'thermal_registered/image': IMAGE,
    'thermal_registered/camera_info': CAMERA_INFO,
    'deformation': 'ivif_ros/msg/Deformation',
    'status': 'ivif_ros/msg/Status',
    'detections': 'vision_msgs/msg/Detection2DArray',
    'detections_thermal': 'vision_msgs/msg/Detection2DArray',
    'label_info': 'vision_msgs/msg/LabelInfo',
}
"""What can be recorded of the node, by relative name."""
LATCHED = ('label_info',)
SENSORS: tuple[Sensor, Sensor] = ('rgb', 'thermal')

Transport = Literal['raw', 'compressed']

DEPTH = 60
"""Messages of a topic that may wait for the disk: two seconds of a camera. What the middleware
overwrites beyond that it does not always tell."""
FOLLOW_S = 0.5
"""Seconds between two looks at the QoS that the cameras offer."""
SPIN_S = 0.1
"""Longest time in seconds until the recorder notices that it is told to end."""


@dataclass(frozen=True)
class Settings:
    """How to record.

    Attributes:
        topics: names among OUTPUTS.
        inputs: how the cameras' images come, to record them too; None for not.
        compression: of raw images; 16-bit images are compressed as PNG.
        jpeg_quality: 1 to 100.
        zstd: compress the file without loss.
        max_bytes: size of the file at which to stop, met to about two megabytes; None for no limit.
        seconds: time after the first message at which to stop; None for no limit.
    """

    topics: Sequence[str]
    inputs: Transport | None = None
    compression: Compression = 'none'
    jpeg_quality: int = 85
    zstd: bool = False
    max_bytes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Recorded:
    """What came of a recording.

    Attributes:
        writer: the closed recording.
        silent: full names of topics on which nothing came.
        counters: what was lost (`<topic>.lost`) and what could not be compressed.
        full: True where the limit of the size ended it.
    """

    writer: BagWriter
    silent: list[str]
    counters: Counters
    full: bool


class Recorder(Node):
    """Subscribes to topics and writes what arrives.

    Counters: `<topic>.lost` messages that the middleware says it lost (there may be more);
    `<topic>.<reason>` images that could not be decoded, which are written as they came.

    Args:
        writer: recording to write to.
        settings: what to record, and how.
        options: go to rclpy's node.

    Attributes:
        full: True once the recording has the size at which to stop; nothing is written after that.
        counters: what was lost or could not be compressed.
        silent: full names of topics on which nothing came so far.
    """

    def __init__(self, writer: BagWriter, settings: Settings, **options: Any) -> None:
        """Open the subscriptions."""
        super().__init__('recorder', **options)
        self.full = False
        self.counters = Counters()
        self.silent: list[str] = []
        self._writer = writer
        self._settings = settings
        self._messages = RclpyFactory()
        self._images: dict[str, ImageWriter] = {}
        self._start_ns: int | None = None
        self._cameras: list[MatchedSubscription] = []
        for topic in settings.topics:
            self._record_output(topic)
        if settings.inputs is not None:
            for sensor in SENSORS:
                self._record_camera(sensor, settings.inputs)
            self.create_timer(FOLLOW_S, self._follow)

    @property
    def finished(self) -> bool:
        """True once size or time have come to their limit."""
        seconds = self._settings.seconds
        return self.full or (
            seconds is not None and self._start_ns is not None
            and time.monotonic_ns() - self._start_ns >= seconds * 1e9)

    def _record_output(self, topic: str) -> None:
        latched = topic in LATCHED
        profile = QoSProfile(
            depth=DEPTH, reliability=QoSReliabilityPolicy.RELIABLE,
            durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if latched
            else QoSDurabilityPolicy.VOLATILE)
        name = self.resolve_topic_name(topic)
        sensor: Sensor = 'rgb' if topic == 'fused/image' else 'thermal'
        self.create_subscription(
            self._messages.message_class(OUTPUTS[topic]), topic,
            self._keeper(name, OUTPUTS[topic], sensor, latched), profile, raw=True,
            event_callbacks=qos.subscription_events(name, self._complain, lost=self._loser(name)))

    def _record_camera(self, sensor: Sensor, transport: Transport) -> None:
        base = f'{sensor}/image_raw'
        for name, msgtype in (
                (camera_info_topic(self, base, f'{sensor}/camera_info'), CAMERA_INFO),
                (image_topic(self, base, transport),
                 IMAGE if transport == 'raw' else COMPRESSED_IMAGE)):
            self._cameras.append(MatchedSubscription(
                self, self._messages.message_class(msgtype), name,
                self._keeper(name, msgtype, sensor, False), self._complain, raw=True, depth=DEPTH,
                lost=self._loser(name)))

    def _keeper(self, name: str, msgtype: str, sensor: Sensor,
                latched: bool) -> Callable[..., None]:
        """Make the callback of a topic."""
        self.silent.append(name)
        compress = msgtype == IMAGE and self._settings.compression != 'none'
        if compress:
            self._images[name] = ImageWriter(
                self._writer, RosbagsFactory(), name, compression=self._settings.compression,
                quality=self._settings.jpeg_quality)

        def keep(cdr: bytes, now_ns: int) -> None:
            if self.full:
                return
            if name in self.silent:
                self.silent.remove(name)
            if self._start_ns is None:
                self._start_ns = time.monotonic_ns()
            if not (compress and self._compressed(name, cdr, sensor, now_ns)):
                self._writer.write_raw(name, msgtype, cdr, now_ns, latched=latched)
            limit = self._settings.max_bytes
            self.full = limit is not None and self._writer.disk_bytes() >= limit

        if not hasattr(Subscription, 'CallbackType'):  # Humble
            return lambda cdr: keep(cdr, time.time_ns())
        # The middleware notes when a message came, however long it waited for this process.
        return lambda cdr, info: keep(cdr, info['received_timestamp'] or time.time_ns())

    def _compressed(self, name: str, cdr: bytes, sensor: Sensor, now_ns: int) -> bool:
        """Write an image compressed; False where it cannot be decoded."""
        message: Any = typestore().deserialize_cdr(cdr, IMAGE)
        try:
            image = decode_image(message, sensor)
        except ImageError as error:
            self.counters.add(f'{name}.{error.reason}')
            return False
        self._images[name].write(
            image, stamp_of(message.header.stamp), message.header.frame_id, now_ns)
        return True

    def _loser(self, name: str) -> Callable[[int], None]:
        return lambda count: self.counters.add(f'{name}.lost', count)

    def _complain(self, topic: str, problem: str) -> None:
        self.get_logger().warning(problem)

    def _follow(self) -> None:
        for camera in self._cameras:
            camera.follow()


def record(path: Path, settings: Settings, stop: Callable[[], bool],
           ros_arguments: Sequence[str] = ()) -> Recorded:
    """Record until told to stop or until a limit is reached.

    Signals are left to the caller, so that no message is half written when one comes.

    Args:
        path: folder of the recording to make.
        settings: what to record, and how.
        stop: asked ten times a second.
        ros_arguments: remappings and the like, as `--ros-args` introduces them.

    Raises:
        OutputError: the recording exists or cannot be written.
        ParameterError: wrong ROS arguments.
        MissingDependencyError: message types are not installed.
    """
    context = Context()
    try:
        rclpy.init(args=list(ros_arguments), context=context,
                   signal_handler_options=SignalHandlerOptions.NO)
    except (RCLError, UnknownROSArgsError) as error:
        raise ParameterError(f'ROS arguments cannot be used: {error}') from error
    try:
        with BagWriter(path, zstd=settings.zstd) as writer:
            recorder = Recorder(writer, settings, context=context)
            executor = SingleThreadedExecutor(context=context)
            executor.add_node(recorder)
            try:
                while not (stop() or recorder.finished):
                    executor.spin_once(SPIN_S)
            except ExternalShutdownException:
                pass
            finally:
                executor.shutdown()
                recorder.destroy_node()
        return Recorded(writer, recorder.silent, recorder.counters, recorder.full)
    finally:
        context.try_shutdown()
