# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings as streams of frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ivif_ros.bags.file import BagFile, RawMessage
from ivif_ros.bags.topics import (
    CAMERA_INFO_TYPE,
    COMPRESSED_TYPE,
    IMAGE_TYPE,
    ImageTopic,
    choose_topics,
)
from ivif_ros.errors import ImageError, SourceError
from ivif_ros.frame_source import FrameSource
from ivif_ros.ros.image_codec import decode_image
from ivif_ros.ros.intrinsics import Intrinsics
from ivif_ros.ros.message_factory import stamp_of
from ivif_ros.types import Frame, Sensor

_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'


class BagSource(FrameSource):
    """Both cameras of a recording, read message by message.

    Topics that are not named are found by type, name and encoding. The intrinsics of a frame are
    those of the last camera_info before it on the sibling topic, as a live node would have them.

    Args:
        path: rosbag2 folder, `.mcap`, `.db3` or ROS 1 `.bag` file.
        rgb_topic: images of the colour camera; None finds them.
        thermal_topic: images of the thermal camera; None finds them.

    Raises:
        SourceError: it cannot be read, or a camera is missing or ambiguous.
    """

    def __init__(self, path: Path | str, *, rgb_topic: str | None = None,
                 thermal_topic: str | None = None) -> None:
        """Open the recording and choose the topics."""
        super().__init__()
        self.bag = BagFile(path)
        try:
            self.rgb, self.thermal = choose_topics(
                image_topics(self.bag), f"recording '{path}'", rgb=rgb_topic, thermal=thermal_topic)
        except SourceError as error:
            unknown = ', '.join(f'{topic.name} ({topic.msgtype})'
                                for topic in self.bag.unknown_topics())
            self.bag.close()
            if not unknown:
                raise
            raise SourceError(f'{error}; messages of a type that is not known here cannot be read: '
                              f'{unknown}') from error
        self._images: dict[str, Sensor] = {self.rgb.name: 'rgb', self.thermal.name: 'thermal'}
        self._infos = self._camera_infos()

    def frames(self) -> Iterator[tuple[Sensor, Frame]]:
        """Yield the frames in the order in which they were recorded.

        What cannot be decoded is counted (`rgb.bad_encoding`, `thermal.bad_message`) and left out.
        """
        intrinsics = {sensor: self._intrinsics(sensor) for sensor in self._images.values()}
        for message in self.bag.messages({*self._images, *self._infos}):
            if message.topic in self._infos:
                self._update(intrinsics[self._infos[message.topic]], message)
                continue
            sensor = self._images[message.topic]
            frame = self._frame(message, sensor, intrinsics[sensor])
            if frame is not None:
                yield sensor, frame

    def describe(self) -> str:
        """Name the topics and the length."""
        return (f"recording '{self.bag.path}': {self.bag.duration_ns / 1e9:.1f} s, "
                f'rgb {self.rgb}, thermal {self.thermal}')

    def duration_ns(self) -> int | None:
        """Time from the first to the last message of any topic."""
        return self.bag.duration_ns

    def close(self) -> None:
        """Close the recording."""
        self.bag.close()

    def _camera_infos(self) -> dict[str, Sensor]:
        """Map camera_info topics to cameras."""
        known = {topic.name for topic in self.bag.topics() if topic.msgtype == CAMERA_INFO_TYPE}
        if self.rgb.camera_info == self.thermal.camera_info:
            # Two cameras in one namespace: nobody can tell whose intrinsics these are.
            if self.rgb.camera_info in known:
                self.problems.add('pair.shared_camera_info')
            return {}
        infos: dict[str, Sensor] = {
            self.rgb.camera_info: 'rgb', self.thermal.camera_info: 'thermal'}
        return {name: sensor for name, sensor in infos.items() if name in known}

    def _intrinsics(self, sensor: Sensor) -> Intrinsics:
        """Start without intrinsics of a camera; what is wrong with them is counted."""
        return Intrinsics(lambda reason, _: self.problems.add(f'{sensor}.{reason}'))

    def _update(self, intrinsics: Intrinsics, message: RawMessage) -> None:
        try:
            intrinsics.update(lower_case(self.bag.deserialise(message)))
        except SourceError:
            self.problems.add(f'{self._infos[message.topic]}.bad_message')

    def _frame(self, message: RawMessage, sensor: Sensor, intrinsics: Intrinsics) -> Frame | None:
        try:
            raw = self.bag.deserialise(message)
            image = decode_image(raw, sensor)
            return Frame(stamp_of(raw.header.stamp), raw.header.frame_id, image,
                         intrinsics.of((image.shape[1], image.shape[0])), message.received_ns)
        except SourceError:
            self.problems.add(f'{sensor}.bad_message')
        except ImageError as error:
            self.problems.add(f'{sensor}.{error.reason}')
        return None


def image_topics(bag: BagFile) -> list[ImageTopic]:
    """List the image topics of a recording with the encoding of their first message.

    Raises:
        SourceError: the recording is damaged at its beginning.
    """
    found = []
    for topic in bag.topics():
        if topic.msgtype not in (IMAGE_TYPE, COMPRESSED_TYPE):
            continue
        encoding = ''
        for message in bag.messages({topic.name}):
            try:
                encoding = _encoding(bag.deserialise(message))
            except SourceError:
                encoding = ''
            break
        found.append(ImageTopic(topic.name, topic.msgtype, topic.count, encoding))
    return found


def _encoding(message: Any) -> str:
    """Encoding of an Image; of a CompressedImage as far as format or PNG header tell."""
    if hasattr(message, 'encoding'):
        return str(message.encoding)
    # image_transport writes 'mono16; png compressed', 'bgr8; jpeg compressed bgr8' or just 'jpeg'.
    match = re.match(r'\s*(\w+)\s*;', message.format)
    if match:
        return match.group(1)
    head = np.asarray(message.data[:26], np.uint8).tobytes()
    if head.startswith(_PNG_SIGNATURE) and len(head) == 26:
        bits, colour_type = head[24], head[25]
        if colour_type in (0, 4):
            return 'mono16' if bits == 16 else 'mono8'
        return 'bgr8'
    return ''


def lower_case(info: Any) -> Any:
    """Give a camera_info of ROS 1 (D, K, R, P) the field names of ROS 2."""
    if hasattr(info, 'k'):
        return info
    return SimpleNamespace(**{name.lower(): value for name, value in vars(info).items()})
