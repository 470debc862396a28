# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Names of topics under namespaces and remapping."""

import pytest

pytest.importorskip('rclpy')

from rclpy.node import Node

from ivif_ros.ros.topics import camera_info_topic, image_topic


@pytest.fixture
def node(ros):
    nodes = []

    def make(*rules, namespace=''):
        words = ['--ros-args']
        for rule in rules:
            words += ['-r', rule]
        nodes.append(Node('topics_test', namespace=namespace, cli_args=words))
        return nodes[-1]
    yield make
    for item in nodes:
        item.destroy_node()


@pytest.mark.parametrize(('rules', 'namespace', 'image', 'compressed', 'info'), [
    ((), '', '/rgb/image_raw', '/rgb/image_raw/compressed', '/rgb/camera_info'),
    ((), '/robot', '/robot/rgb/image_raw', '/robot/rgb/image_raw/compressed',
     '/robot/rgb/camera_info'),
    (('rgb/image_raw:=/front/image',), '/robot', '/front/image', '/front/image/compressed',
     '/front/camera_info'),
    (('rgb/image_raw:=/front/image', 'rgb/camera_info:=/calib/front'), '', '/front/image',
     '/front/image/compressed', '/calib/front'),
    (('rgb/camera_info:=/calib/front',), '', '/rgb/image_raw', '/rgb/image_raw/compressed',
     '/calib/front'),
])
def test_other_topics_follow_the_image(node, rules, namespace, image, compressed, info):
    made = node(*rules, namespace=namespace)
    assert image_topic(made, 'rgb/image_raw', 'raw') == image
    assert image_topic(made, 'rgb/image_raw', 'compressed') == compressed
    assert camera_info_topic(made, 'rgb/image_raw', 'rgb/camera_info') == info
