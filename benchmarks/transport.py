# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How many colour images arrive, and how late, with and without config/fastdds.xml.

A process publishes 640x480 bgr8 at 30 Hz, reliably; another one listens.

    python benchmarks/transport.py [--images 150]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

PROFILE = Path(__file__).resolve().parents[1] / 'config' / 'fastdds.xml'
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
RATE_HZ = 30.0
TOPIC = 'transport_benchmark'


def publish(count: int) -> None:
    """Publish the images once somebody listens."""
    import rclpy
    from rclpy.qos import QoSProfile
    from sensor_msgs.msg import Image

    from ivif_ros.ros.messages import image_message
    from ivif_ros.ros.rclpy_messages import RclpyFactory

    rclpy.init()
    node = rclpy.create_node('sender')
    publisher = node.create_publisher(Image, TOPIC, QoSProfile(depth=5))
    image = np.zeros((480, 640, 3), np.uint8)
    factory = RclpyFactory()
    deadline = time.monotonic() + 20
    while not publisher.get_subscription_count() and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
    start = time.monotonic()
    for index in range(count):
        time.sleep(max(0.0, start + index / RATE_HZ - time.monotonic()))
        publisher.publish(image_message(factory, image, 'bgr8', time.time_ns(), 'camera'))
    rclpy.spin_once(node, timeout_sec=1.0)
    rclpy.shutdown()


def listen(best_effort: bool) -> None:
    """Print number and ages of what arrives until nothing comes for two seconds."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import QoSProfile, QoSReliabilityPolicy
    from sensor_msgs.msg import Image

    from ivif_ros.bags.file import header_stamp_ns

    rclpy.init()
    node = rclpy.create_node('listener')
    ages: list[float] = []
    qos = QoSProfile(depth=5, reliability=(
        QoSReliabilityPolicy.BEST_EFFORT if best_effort else QoSReliabilityPolicy.RELIABLE))
    node.create_subscription(
        Image, TOPIC, lambda cdr: ages.append((time.time_ns() - header_stamp_ns(cdr)) / 1e6), qos,
        raw=True)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    last, idle_since = 0, time.monotonic()
    while time.monotonic() - idle_since < (2.0 if ages else 20.0):
        executor.spin_once(timeout_sec=0.1)
        if len(ages) != last:
            last, idle_since = len(ages), time.monotonic()
    rclpy.shutdown()
    print(len(ages), *(np.percentile(ages, (50, 99)) if ages else ('-', '-')))


def main() -> None:
    """Run all four combinations and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=150)
    parser.add_argument('--role', choices=('publish', 'reliable', 'best_effort'))
    options = parser.parse_args()
    if options.role == 'publish':
        return publish(options.images)
    if options.role:
        return listen(options.role == 'best_effort')
    for profile in (False, True):
        environment = {name: value for name, value in os.environ.items()
                       if name not in PROFILE_VARIABLES}
        environment.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        environment.setdefault('ROS_DOMAIN_ID', str(10 + os.getpid() % 90))
        if profile:
            environment.update(dict.fromkeys(PROFILE_VARIABLES, str(PROFILE)))
        for role in ('best_effort', 'reliable'):
            command = [sys.executable, __file__, '--images', str(options.images), '--role']
            sender = subprocess.Popen([*command, 'publish'], env=environment)
            heard = subprocess.run([*command, role], env=environment, check=True,
                                   capture_output=True, text=True).stdout.split()
            sender.wait()
            ages = ' / '.join(f'{float(age):.1f}' if age != '-' else age for age in heard[1:])
            print(f'{"with" if profile else "without"} profile, {role}: {heard[0]} of '
                  f'{options.images} arrived, age p50 / p99 {ages} ms', flush=True)


if __name__ == '__main__':
    main()
