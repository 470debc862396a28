# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A private ROS domain, and a partner that talks to the node under test over DDS."""

from __future__ import annotations

import array
import contextlib
import os
import threading
import time
from collections import defaultdict

import numpy as np
import pytest

DEADLINE_S = 20.0


def pytest_collection_modifyitems(items):
    try:
        import rclpy  # noqa: F401
    except ImportError:
        skip = pytest.mark.skip(reason='rclpy is not installed (scripts/setup installs it)')
        for item in items:
            if 'test/nodes' in str(item.path):
                item.add_marker(skip)


class Partner:
    """A node that publishes, subscribes and calls services, spun in a thread of its own."""

    def __init__(self):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.node = rclpy.create_node('partner')
        self.stops = []
        self.received = defaultdict(list)
        self.condition = threading.Condition()
        self.publishers = {}
        self._executor_type = SingleThreadedExecutor
        self.spin(self.node)

    def spin(self, node):
        """Spin a node in a new thread, as its own process would."""
        from rclpy.executors import ExternalShutdownException

        executor = self._executor_type()
        executor.add_node(node)
        stopped = threading.Event()

        def spin():
            # A test may shut rclpy down while this spins.
            with contextlib.suppress(ExternalShutdownException):
                while not stopped.is_set():
                    executor.spin_once(0.05)
        thread = threading.Thread(target=spin, daemon=True)
        thread.start()

        def stop():
            stopped.set()
            thread.join(DEADLINE_S)
            executor.shutdown()
        self.stops.append(stop)
        return stop

    def subscribe(self, message_type, topic, qos=10):
        self.received[topic] = []

        def keep(message):
            with self.condition:
                self.received[topic].append(message)
                self.condition.notify_all()
        self.node.create_subscription(message_type, topic, keep, qos)

    def publisher(self, message_type, topic, qos=10):
        if topic not in self.publishers:
            self.publishers[topic] = self.node.create_publisher(message_type, topic, qos)
        return self.publishers[topic]

    def wait(self, condition, what, deadline_s=DEADLINE_S):
        """Wait until a condition over what was received holds; returns its value."""
        deadline = time.monotonic() + deadline_s
        with self.condition:
            while True:
                value = condition()
                if value:
                    return value
                left = deadline - time.monotonic()
                if left <= 0:
                    pytest.fail(f'waited {deadline_s} s for {what}')
                # Discovery and parameters give no event to wait for, so look again now and then.
                self.condition.wait(min(left, 0.02))

    def call(self, service_type, name, request):
        client = self.node.create_client(service_type, name)
        assert client.wait_for_service(DEADLINE_S), f'no service {name}'
        future = client.call_async(request)
        self.wait(future.done, f'an answer of {name}')
        self.node.destroy_client(client)
        return future.result()

    def close(self):
        for stop in self.stops:
            stop()
        self.node.destroy_node()


@pytest.fixture(scope='session', autouse=True)
def private_domain():
    """Nothing that these tests say leaves the machine or meets another run."""
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['ROS_DOMAIN_ID'] = str(10 + os.getpid() % 90)


@pytest.fixture
def ros():
    """Initialised rclpy."""
    import rclpy
    rclpy.init(args=[])
    yield rclpy
    rclpy.try_shutdown()


@pytest.fixture
def partner(ros):
    partner = Partner()
    yield partner
    partner.close()


@pytest.fixture
def start(ros, partner):
    """Start a node with parameters, spun as its own process would be; without a detector."""
    from rclpy.parameter import Parameter

    nodes = []

    def make(node_type, parameters=None, **options):
        values = {'detection.weights': '', **(parameters or {})}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        node = node_type(parameter_overrides=overrides, **options)
        nodes.append((node, None))
        node.autostart()
        nodes[-1] = node, partner.spin(node)
        return node
    yield make
    for node, stop in nodes:
        if stop is not None:
            stop()
        node.close()
        node.destroy_node()


class Cameras:
    """Both cameras of a rig: publishes pictures with stamps of their own."""

    PERIOD_NS = 33_333_333

    def __init__(self, partner, node, qos=10):
        from sensor_msgs.msg import CameraInfo, Image

        self.partner = partner
        self.node = node
        self.stamp_ns = 1_700_000_000 * 1_000_000_000
        self.sent = 0
        y, x = np.mgrid[:48, :64]
        self.rgb = np.stack([x * 4, y * 5, 255 - x * 3], -1).astype(np.uint8)
        self.thermal = (7000 + 20 * x + 10 * y).astype(np.uint16)
        self.publishers = {
            sensor: partner.publisher(Image, f'{sensor}/image_raw', qos)
            for sensor in ('rgb', 'thermal')}
        self.infos = {
            sensor: partner.publisher(CameraInfo, f'{sensor}/camera_info', qos)
            for sensor in ('rgb', 'thermal')}

    def wait(self):
        """Wait until the node hears both cameras and the partner hears the node."""
        everyone = [*self.publishers.values(), *self.infos.values()]
        self.partner.wait(lambda: all(p.get_subscription_count() for p in everyone),
                          'the node to listen')
        topics = list(self.partner.received)
        self.partner.wait(
            lambda: all(self.partner.node.count_publishers(topic) for topic in topics),
            f'publishers of {topics}')

    def image(self, sensor, stamp_ns=None, picture=None, encoding=None):
        """Message of a camera; by hand, so that it can be spoilt."""
        from sensor_msgs.msg import Image

        if picture is None:
            # A thermal camera that repeats an image to the last bit counts as frozen.
            self.sent += 1
            picture = self.rgb if sensor == 'rgb' else self.thermal + np.uint16(self.sent % 16)
        names = {('uint8', 3): 'bgr8', ('uint8', 2): 'mono8', ('uint16', 2): 'mono16',
                 ('float32', 2): '32FC1'}
        stamp_ns = self.stamp_ns if stamp_ns is None else stamp_ns
        message = Image(height=picture.shape[0], width=picture.shape[1],
                        encoding=encoding or names[picture.dtype.name, picture.ndim],
                        step=picture.strides[0])
        message.header.frame_id = f'{sensor}_optical'
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        message.data = array.array('B', picture.tobytes())
        return message

    def info(self, sensor, width=None, focal=60.0):
        from sensor_msgs.msg import CameraInfo

        height, own_width = getattr(self, sensor).shape[:2]
        message = CameraInfo(width=width or own_width, height=height,
                             distortion_model='plumb_bob', d=[0.0] * 5)
        message.header.frame_id = f'{sensor}_optical'
        message.k = [focal, 0.0, 31.5, 0.0, focal, 23.5, 0.0, 0.0, 1.0 if focal else 0.0]
        return message

    def send(self, rgb=True, thermal=True, skew_ns=1_000_000):
        """Publish the next pair (thermal first); True sends the usual picture."""
        self.stamp_ns += self.PERIOD_NS
        for sensor, what, shift in (('thermal', thermal, skew_ns), ('rgb', rgb, 0)):
            if what is not False and what is not None:
                message = self.image(sensor, self.stamp_ns + shift) if what is True else what
                self.publishers[sensor].publish(message)

    def keep_sending(self, condition, what, deadline_s=DEADLINE_S, **options):
        """Send pairs until a condition holds; returns its value."""
        def send_and_look():
            self.send(**options)
            return condition()
        return self.partner.wait(send_and_look, what, deadline_s)


@pytest.fixture
def cameras(partner):
    def make(node, qos=10):
        return Cameras(partner, node, qos)
    return make
