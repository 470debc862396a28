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
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.task import Future
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, Image

from ivif_ros.errors import IvifError, SourceError
from ivif_ros.ros.encodings import encoding_of
from ivif_ros.ros.messages import camera_info_message, image_message
from ivif_ros.ros.rclpy_messages import RclpyFactory
from ivif_ros.sources import FrameSource, open_source
from ivif_ros.types import Frame, Sensor

BUFFER_BYTES = 512 * 2**20
SAMPLE_PERIOD_S = 0.5
MAX_SAMPLES = 64
ASK_PERIOD_S = 1.0
ACK_TIMEOUT_S = 2.0


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

    def wait_for(self, watched: Sequence[str], timeout_s: float, partner: str = '') -> bool:
        """Wait until somebody listens to both cameras and the watched topics have both ends.

        Args:
            watched: topics that need a publisher and a subscriber.
            timeout_s: longest wait in seconds.
            partner: lifecycle node that activates itself; empty for none.

        Returns:
            Whether it came to that in time.

        Raises:
            SourceError: the partner has tried to become active and failed.
        """
        deadline = time.monotonic() + timeout_s
        watch = _StateWatch(self, partner) if partner else None
        while time.monotonic() < deadline and rclpy.ok():
            heard = all(p.get_subscription_count() for p in self._images.values())
            if heard and all(self.count_publishers(t) and self.count_subscribers(t)
                             for t in watched):
                return True
            if watch is not None:
                watch.check()
            rclpy.spin_once(self, timeout_sec=0.05)
        return False

    def wait_until_taken(self) -> None:
        """Wait until the subscribers have the last images, which end with the publishers."""
        for publisher in self._images.values():
            publisher.wait_for_all_acked(Duration(seconds=ACK_TIMEOUT_S))

    def publish(self, sensor: Sensor, frame: Frame) -> None:
        """Publish one frame with its camera_info."""
        encoding = encoding_of(frame.image)
        if frame.camera is not None:
            self._infos[sensor].publish(camera_info_message(
                self._factory, frame.camera, frame.stamp_ns, frame.frame_id))
        self._images[sensor].publish(image_message(
            self._factory, frame.image, encoding, frame.stamp_ns, frame.frame_id))
        self.published[sensor] += 1


class _StateWatch:
    """Asks a lifecycle node for its state; it answers only once it has tried to start itself."""

    def __init__(self, node: Node, name: str) -> None:
        self._name = name
        self._client = node.create_client(GetState, f'{name}/get_state')
        self._answer: Future | None = None
        self._asked_s = 0.0

    def check(self) -> None:
        if self._answer is not None and self._answer.done():
            state = self._answer.result().current_state
            self._answer = None
            if state.id != State.PRIMARY_STATE_ACTIVE:
                raise SourceError(f"node '{self._name}' is {state.label} instead of active; "
                                  'its log says why')
        # The answer to a request that came before discovery had ended can be lost.
        now_s = time.monotonic()
        if now_s - self._asked_s > ASK_PERIOD_S and self._client.service_is_ready():
            self._answer = self._client.call_async(GetState.Request())
            self._asked_s = now_s


class _Ahead:
    """Reads or renders frames in a thread, so that a slow source does not disturb the rhythm."""

    def __init__(self, source: FrameSource) -> None:
        self._queue: queue.SimpleQueue[tuple[Sensor, Frame] | Exception | None] = (
            queue.SimpleQueue())
        self.ready = threading.Event()
        self._changed = threading.Condition()
        self._bytes = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._fill, args=(source,), daemon=True)
        self._thread.start()

    def _fill(self, source: FrameSource) -> None:
        end = None
        try:
            for item in source.frames():
                if not self._reserve(item[1].image.nbytes):
                    return
                self._queue.put(item)
        except Exception as error:
            end = error
        self._queue.put(end)
        self.ready.set()

    def _reserve(self, size: int) -> bool:
        """Wait for room; False when nobody wants more."""
        with self._changed:
            while self._bytes >= BUFFER_BYTES and not self._stopped:
                self.ready.set()
                self._changed.wait()
            self._bytes += size
            return not self._stopped

    def __iter__(self) -> Iterator[tuple[Sensor, Frame]]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            with self._changed:
                self._bytes -= item[1].image.nbytes
                self._changed.notify()
            yield item

    def close(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()


@dataclasses.dataclass
class _Sample:
    """What was shown at one moment; the thermal frame is the nearest of its neighbours in time."""

    rgb: Frame
    source_stamp_ns: int
    thermal: Frame | None = None


class _Samples:
    """Collects a pair of frames every SAMPLE_PERIOD_S; more rarely the longer it takes."""

    def __init__(self) -> None:
        self.items: list[_Sample] = []
        self._period_ns = SAMPLE_PERIOD_S * 1e9
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
                shown.stamp_ns - self.items[-1].rgb.stamp_ns >= self._period_ns):
            if len(self.items) == MAX_SAMPLES:
                self.items = self.items[::2]
                self._period_ns *= 2
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


def play(node: CameraSource, ahead: _Ahead, samples: _Samples | None) -> None:
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
        if samples is not None:
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
    parser.add_argument('--node', default='', help=(
        'lifecycle node that activates itself; end at once when it cannot'))
    parser.add_argument('--timeout', type=float, default=60.0, help='longest wait for them in s')
    rclpy.init(args=None if args is None else list(args))
    options = parser.parse_args(remove_ros_args(args)[1 if args is None else 0:])
    node = CameraSource()
    try:
        with open_source(options.source, seconds=options.seconds, loop=options.loop) as source:
            node.get_logger().info(source.describe())
            ahead = _Ahead(source)
            samples = _Samples() if options.samples is not None else None
            try:
                if not node.wait_for(options.watch, options.timeout, options.node):
                    raise SourceError(
                        f'nobody listens to rgb/image_raw and thermal/image_raw within '
                        f'{options.timeout:g} s; start the fusion node first')
                while not ahead.ready.wait(0.2) and rclpy.ok():
                    pass
                play(node, ahead, samples)
                node.wait_until_taken()
            finally:
                ahead.close()
            if samples is not None:
                samples.save(options.samples, source)
                (options.samples / 'source.json').write_text(json.dumps({
                    'source': source.describe(), 'published': node.published,
                    'problems': source.problems.snapshot()}))
    except IvifError as error:
        node.get_logger().error(str(error))
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        return 130
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
