# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A ROS domain of their own for the demo's tests, and folders of small images to play."""

import os
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def environment(number):
    """Environment of a run that meets no other one and does not leave the machine."""
    profiles = str(REPOSITORY / 'config' / 'fastdds.xml')
    return {
        'AMENT_PREFIX_PATH': sys.prefix, **os.environ,
        'PYTHONPATH': os.pathsep.join([str(REPOSITORY), os.environ.get('PYTHONPATH', '')]),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_DOMAIN_ID': str(10 + (os.getpid() + number) % 90), 'OMP_NUM_THREADS': '1',
        'FASTDDS_DEFAULT_PROFILES_FILE': profiles, 'FASTRTPS_DEFAULT_PROFILES_FILE': profiles}


@pytest.fixture(scope='session')
def ros_environment():
    """Make the environment of a process by number."""
    return environment


@pytest.fixture
def ros(monkeypatch):
    """The rclpy package in a domain of its own, not initialised."""
    rclpy = pytest.importorskip('rclpy', reason='scripts/setup installs rclpy')
    for name, value in environment(3).items():
        monkeypatch.setenv(name, value)
    yield rclpy
    rclpy.try_shutdown()


@pytest.fixture
def spin(ros):
    """Spin nodes in threads until the test ends; they end with it."""
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    ended, threads, nodes = threading.Event(), [], []

    def start(node):
        def run():
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            try:
                while not ended.is_set():
                    executor.spin_once(0.05)
            except ExternalShutdownException:
                pass
            finally:
                executor.shutdown()
        nodes.append(node)
        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
    yield start
    ended.set()
    for thread in threads:
        thread.join(10)
    for node in nodes:
        node.destroy_node()


@pytest.fixture(scope='session')
def make_images():
    """Make a folder with three pairs of 64x48 images."""
    def make(folder):
        y, x = np.mgrid[:48, :64]
        for index in range(3):
            rgb = np.stack([4 * x, 5 * y, 255 - 3 * x - index], -1).astype(np.uint8)
            thermal = (7000 + 20 * x + 10 * y + index).astype(np.uint16)
            for sensor, image in (('rgb', rgb), ('thermal', thermal)):
                (folder / sensor).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / sensor / f'{index}.png'), image)
        return folder
    return make


@pytest.fixture
def images(make_images, tmp_path):
    return make_images(tmp_path / 'images')
