# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Small recordings for tests, written with rosbags alone so that they do not depend on the package.

Import it from any test: `from synthetic_bags import write_bag`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

START_NS = 1_700_000_000_000_000_000
RGB_TOPIC = '/rgb/image_raw'
THERMAL_TOPIC = '/thermal/image_raw'
STORE = get_typestore(Stores.ROS2_JAZZY)
STORE1 = get_typestore(Stores.ROS1_NOETIC)


def header(stamp_ns: int, frame_id: str, store: Any = STORE, seq: int = 0) -> Any:
    """std_msgs/Header of either ROS."""
    stamp = store.types['builtin_interfaces/msg/Time'](
        sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    if store is STORE1:
        return store.types['std_msgs/msg/Header'](seq=seq, stamp=stamp, frame_id=frame_id)
    return store.types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)


def image(array: np.ndarray, encoding: str, stamp_ns: int, frame_id: str, *,
          big_endian: bool = False, padding: int = 0, store: Any = STORE) -> Any:
    """sensor_msgs/Image with padded rows and either endianness."""
    array = array.astype(array.dtype.newbyteorder('>' if big_endian else '<'))
    rows = np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAA)
    return store.types['sensor_msgs/msg/Image'](
        header=header(stamp_ns, frame_id, store), height=array.shape[0], width=array.shape[1],
        encoding=encoding, is_bigendian=int(big_endian), step=rows.shape[1], data=rows.reshape(-1))


def compressed(array: np.ndarray, suffix: str, image_format: str, stamp_ns: int,
               frame_id: str) -> Any:
    """sensor_msgs/CompressedImage, encoded by OpenCV."""
    done, data = cv2.imencode(suffix, array)
    assert done
    return STORE.types['sensor_msgs/msg/CompressedImage'](
        header=header(stamp_ns, frame_id), format=image_format, data=data.reshape(-1))


def camera_info(width: int, height: int, focal: float, stamp_ns: int, frame_id: str,
                store: Any = STORE) -> Any:
    """sensor_msgs/CameraInfo of a lens with a little distortion."""
    k = np.array([focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1], np.float64)
    values = {
        'd': np.array([0.1, -0.02, 0.0, 0.0, 0.0]), 'k': k, 'r': np.eye(3).reshape(-1),
        'p': np.insert(k, (3, 6, 9), 0.0)}
    if store is STORE1:
        values = {name.upper(): value for name, value in values.items()}
    roi = store.types['sensor_msgs/msg/RegionOfInterest'](
        x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return store.types['sensor_msgs/msg/CameraInfo'](
        header=header(stamp_ns, frame_id, store), height=height, width=width,
        distortion_model='plumb_bob', binning_x=0, binning_y=0, roi=roi, **values)


def rgb_picture(index: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """(H, W, 3) uint8 ramp with a bright square that moves with the index."""
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.arange(width) * 2 % 256
    picture[..., 1] = (np.arange(height) * 3 % 256)[:, None]
    picture[..., 2] = index % 256
    left = 4 + index % (width - 16)
    picture[10:20, left:left + 10] = 250
    return picture


def thermal_picture(index: int, size: tuple[int, int] = (32, 24)) -> np.ndarray:
    """(H, W) uint16 counts of 14 bits with a warm square that moves with the index."""
    width, height = size
    counts = np.full((height, width), 7300, np.uint16) + np.arange(width, dtype=np.uint16) * 3
    left = 2 + (index // 2) % (width - 8)
    counts[5:10, left:left + 5] = 7900
    counts[0, 0] = 7300 + index
    return counts


Item = tuple[str, int, Any]
"""Topic, receive time in nanoseconds, message."""


def two_cameras(frames: int = 10, *, hz: float = 30.0, thermal_every: int = 1,
                skew_ns: int = 2_000_000, delay_ns: int = 5_000_000, infos: bool = True,
                rgb_topic: str = RGB_TOPIC,
                thermal_topic: str = THERMAL_TOPIC, store: Any = STORE,
                rgb: Callable[[int], np.ndarray] = rgb_picture,
                thermal: Callable[[int], np.ndarray] = thermal_picture) -> list[Item]:
    """Messages of a rig: bgr8 and mono16 with camera_info, in the order of their receive times.

    RGB frame i has stamp START_NS + i / hz, its thermal partner `skew_ns` later; each arrives
    `delay_ns` after its stamp, its camera_info a microsecond before it.
    """
    items: list[Item] = []
    for index in range(frames):
        stamp = START_NS + round(index * 1e9 / hz)
        cameras = [(rgb_topic, 'rgb_optical_frame', rgb(index), 'bgr8', stamp, 60.0)]
        if index % thermal_every == 0:
            cameras.append((thermal_topic, 'thermal_optical_frame', thermal(index), 'mono16',
                            stamp + skew_ns, 32.0))
        for topic, frame_id, picture, encoding, when, focal in cameras:
            height, width = picture.shape[:2]
            if infos:
                items.append((f'{topic.rpartition("/")[0]}/camera_info', when + delay_ns - 1000,
                              camera_info(width, height, focal, when, frame_id, store)))
            items.append((topic, when + delay_ns,
                          image(picture, encoding, when, frame_id, store=store)))
    return sorted(items, key=lambda item: item[1])


def write_items(path: Path, items: Sequence[Item], *, storage: str = 'mcap') -> Path:
    """Write messages to a rosbag2 folder."""
    plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
    connections: dict[str, Any] = {}
    with Writer(path, version=8, storage_plugin=plugin) as writer:
        for topic, received_ns, message in items:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], received_ns, STORE.serialize_cdr(message, kind))
    return path


def write_bag(path: Path, frames: int = 10, *, storage: str = 'mcap', **options: Any) -> Path:
    """Write a recording of a rig with two cameras; options as in two_cameras."""
    return write_items(path, two_cameras(frames, **options), storage=storage)


def write_bag1(path: Path, frames: int = 10, **options: Any) -> Path:
    """Write the same as a ROS 1 bag file."""
    connections: dict[str, Any] = {}
    with Writer1(path) as writer:
        for topic, received_ns, message in two_cameras(frames, store=STORE1, **options):
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE1)
            writer.write(connections[topic], received_ns, STORE1.serialize_ros1(message, kind))
    return path
