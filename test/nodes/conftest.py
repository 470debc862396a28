# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A private ROS domain, and a partner that talks to the node under test over DDS."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict

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
        self.executors = []
        self.threads = []
        self.received = defaultdict(list)
        self.condition = threading.Condition()
        self.publishers = {}
        self._executor_type = SingleThreadedExecutor
        self.spin(self.node)

    def spin(self, node):
        """Spin a node in a new thread, as its own process would."""
        executor = self._executor_type()
        executor.add_node(node)
        thread = threading.Thread(target=executor.spin, daemon=True)
        thread.start()
        self.executors.append(executor)
        self.threads.append(thread)
        return executor

    def subscribe(self, message_type, topic, qos=10):
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
        for executor in self.executors:
            executor.shutdown()
        for thread in self.threads:
            thread.join(DEADLINE_S)
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
