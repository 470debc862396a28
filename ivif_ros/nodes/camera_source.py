#!/usr/bin/env python3
# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Plays a source of frames as two cameras: real topics, in real time, with stamps of now.

It stands for the drivers of a rig in the demo and in tests. With `--samples DIR` it leaves there
what it showed at some moments, and the truth about them where the source knows it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, Image

from ivif_ros.errors import IvifError, SourceError
from ivif_ros.ros.messages import camera_info_message, image_message
from ivif_ros.ros.rclpy_messages import RclpyFactory
from ivif_ros.sources import FrameSource, open_source
from ivif_ros.types import Frame, Sensor

ENCODINGS = {('uint8', 3): 'bgr8', ('uint8', 2): 'mono8', ('uint16', 2): 'mono16',
             ('float32', 2): '32FC1'}
BUFFERED_FRAMES = 600
SAMPLE_PERIOD_S = 0.5


class CameraSource(Node):
    """Publishes `{rgb,thermal}/image_raw` and `{rgb,thermal}/camera_info`."""

    def __init__(self) -> None:
        """Open the publishers; reliable, so that any subscriber matches."""
        super().__init__('camera_source')
        qos = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.RELIABLE)
        self._factory = RclpyFactory()
        sensors: tuple[Sensor, ...] = ('rgb', 'thermal')
        self._images = {
            sensor: self.create_publisher(Image, f'{sensor}/image_raw', qos) for sensor in sensors}
        self._infos = {
            sensor: self.create_publisher(CameraInfo, f'{sensor}/camera_info', qos)
            for sensor in sensors}
        self.published = dict.fromkeys(sensors, 0)

    def wait_for(self, watched: Sequence[str], timeout_s: float) -> bool:
        """Wait until somebody listens to both cameras and the watched topics have both ends."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and rclpy.ok():
            heard = all(p.get_subscription_count() for p in self._images.values())
            if heard and all(self.count_publishers(t) and self.count_subscribers(t)
                             for t in watched):
                return True
            rclpy.spin_once(self, timeout_sec=0.05)
        return False

    def publish(self, sensor: Sensor, frame: Frame) -> None:
        """Publish one frame with its camera_info."""
        encoding = ENCODINGS[frame.image.dtype.name, frame.image.ndim]
        if frame.camera is not None:
            self._infos[sensor].publish(camera_info_message(
                self._factory, frame.camera, frame.stamp_ns, frame.frame_id))
        self._images[sensor].publish(image_message(
            self._factory, frame.image, encoding, frame.stamp_ns, frame.frame_id))
        self.published[sensor] += 1


class _Ahead:
    """Reads or renders frames in a thread, so that a slow source does not disturb the rhythm."""

    def __init__(self, source: FrameSource) -> None:
        self._queue: queue.Queue[tuple[Sensor, Frame] | Exception | None] = queue.Queue(
            BUFFERED_FRAMES)
        self.ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, args=(source,), daemon=True)
        self._thread.start()

    def _put(self, item: tuple[Sensor, Frame] | Exception | None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                return
            except queue.Full:
                self.ready.set()

    def _fill(self, source: FrameSource) -> None:
        try:
            for item in source.frames():
                self._put(item)
                if self._stop.is_set():
                    return
            self._put(None)
        except Exception as error:
            self._put(error)
        finally:
            self.ready.set()

    def __iter__(self) -> Iterator[tuple[Sensor, Frame]]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@dataclasses.dataclass
class _Sample:
    """What was shown at one moment; the thermal frame is the nearest of its neighbours in time."""

    rgb: Frame
    source_stamp_ns: int
    thermal: Frame | None = None


class _Samples:
    """Collects a pair of frames every SAMPLE_PERIOD_S."""

    def __init__(self) -> None:
        self.items: list[_Sample] = []
        self._last_thermal: Frame | None = None

    def add(self, sensor: Sensor, shown: Frame, source_stamp_ns: int) -> None:
        if sensor == 'thermal':
            last, self._last_thermal = self._last_thermal, shown
            open_items = [item for item in self.items[-2:] if item.thermal is None]
            for item in open_items:
                candidates = [frame for frame in (last, shown) if frame is not None]
                item.thermal = min(
                    candidates, key=lambda f: abs(f.stamp_ns - item.rgb.stamp_ns))
        elif not self.items or (
                shown.stamp_ns - self.items[-1].rgb.stamp_ns >= SAMPLE_PERIOD_S * 1e9):
            self.items.append(_Sample(shown, source_stamp_ns))

    def save(self, folder: Path, source: FrameSource) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for item in self.items:
            arrays: dict[str, Any] = {'rgb': item.rgb.image}
            if item.thermal is not None:
                arrays['thermal'] = item.thermal.image
            truth = source.true_map(item.source_stamp_ns)
            if truth is not None:
                arrays['true_map'] = truth
            np.savez(folder / f'{item.rgb.stamp_ns}.npz', **arrays)


def play(node: CameraSource, source: FrameSource, ahead: _Ahead, samples: _Samples) -> None:
    """Publish all frames when their time has come; stamps move by the same amount for all."""
    shift = None
    for sensor, frame in ahead:
        if shift is None:
            shift = time.time_ns() + 100_000_000 - frame.received_ns
        wait_s = (frame.received_ns + shift - time.time_ns()) / 1e9
        if wait_s > 0:
            time.sleep(wait_s)
        if not rclpy.ok():
            return
        shown = dataclasses.replace(frame, stamp_ns=frame.stamp_ns + shift)
        node.publish(sensor, shown)
        samples.add(sensor, shown, frame.stamp_ns)


def main(args: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--source', default='sim',
                        help='sim, a bag, or a folder with rgb/ and thermal/')
    parser.add_argument('--seconds', type=float, help='stop after this time of the source')
    parser.add_argument('--loop', action='store_true', help='begin again at the end of the source')
    parser.add_argument('--samples', type=Path, help='folder for sampled frames and their truth')
    parser.add_argument('--watch', nargs='*', default=[],
                        help='start when these topics have a publisher and a subscriber')
    parser.add_argument('--timeout', type=float, default=60.0, help='longest wait for them in s')
    rclpy.init(args=None if args is None else list(args))
    options = parser.parse_args(remove_ros_args(args)[1 if args is None else 0:])
    node = CameraSource()
    try:
        with open_source(options.source, seconds=options.seconds, loop=options.loop) as source:
            node.get_logger().info(source.describe())
            ahead, samples = _Ahead(source), _Samples()
            try:
                if not node.wait_for(options.watch, options.timeout):
                    raise SourceError(
                        f'nobody listens to rgb/image_raw and thermal/image_raw within '
                        f'{options.timeout:g} s; start the fusion node first')
                while not ahead.ready.wait(0.2) and rclpy.ok():
                    pass
                play(node, source, ahead, samples)
            finally:
                ahead.close()
            if options.samples is not None:
                samples.save(options.samples, source)
                (options.samples / 'source.json').write_text(json.dumps({
                    'source': source.describe(), 'published': node.published,
                    'problems': source.problems.snapshot()}))
    except IvifError as error:
        node.get_logger().error(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
