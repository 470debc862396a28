# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The message classes cross a process boundary over the real middleware."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ivif_ros.interfaces.definitions import find_share

REPOSITORY = Path(__file__).resolve().parents[2]

TALKER = """
import sys, rclpy
from ivif_ros.msg import Counter, Deformation, StageLatency, Status
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose
from rclpy.qos import QoSProfile, DurabilityPolicy
rclpy.init()
node = rclpy.create_node('talker')
latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

status = Status(mode=Status.RGB_ONLY, reason='thermal silent', skew=-1.5, pairs_in=2**40)
status.header.frame_id = 'rgb_optical'
status.header.stamp.sec = 12
status.latencies = [StageLatency(name='fusion', latency=2.25)]
status.dropped = [Counter(name='rgb.late', count=3)]

deformation = Deformation(source=Deformation.ESTIMATED, confidence=0.5, grid_width=2, grid_height=1)
deformation.homography = [1.0, 0.0, 3.5, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
deformation.displacement.fromlist([0.25, -0.5, 1.0, 2.0])
deformation.confidence_map.fromlist([0, 255])

found = ObjectHypothesisWithPose()
found.hypothesis.class_id, found.hypothesis.score = 'person', 0.75
box = Detection2D(results=[found], id='7')
box.bbox.center.position.x, box.bbox.size_y = 10.5, 20.0
detections = Detection2DArray(detections=[box])

publishers = []
for message in (status, deformation, detections):
    publisher = node.create_publisher(type(message), type(message).__name__, latched)
    publisher.publish(message)
    publishers.append(publisher)
print('published', flush=True)
sys.stdin.readline()
"""

LISTENER = """
import json, sys, rclpy
from ivif_ros.msg import Deformation, Status
from vision_msgs.msg import Detection2DArray
from rclpy.qos import QoSProfile, DurabilityPolicy
rclpy.init()
node = rclpy.create_node('listener')
latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
got = {}
for kind in (Status, Deformation, Detection2DArray):
    node.create_subscription(
        kind, kind.__name__, lambda message, name=kind.__name__: got.update({name: message}),
        latched)
until = node.get_clock().now().nanoseconds + 20e9
while len(got) < 3 and node.get_clock().now().nanoseconds < until:
    rclpy.spin_once(node, timeout_sec=1.0)
status, deformation, boxes = got['Status'], got['Deformation'], got['Detection2DArray'].detections
hashes = {name: str(info.topic_type_hash) if hasattr(info, 'topic_type_hash') else ''
          for name in got for info in node.get_publishers_info_by_topic(name)}
hashes = {name: value for name, value in hashes.items() if value}
print(json.dumps({
    'status': [status.mode, status.reason, status.skew, status.pairs_in, status.header.frame_id,
               status.header.stamp.sec, status.latencies[0].name, status.latencies[0].latency,
               status.dropped[0].name, status.dropped[0].count],
    'deformation': [deformation.source, deformation.confidence, list(deformation.homography),
                    list(deformation.displacement), list(deformation.confidence_map)],
    'boxes': [boxes[0].id, boxes[0].results[0].hypothesis.class_id,
              boxes[0].results[0].hypothesis.score, boxes[0].bbox.center.position.x,
              boxes[0].bbox.size_y],
    'hashes': hashes}))
"""


@pytest.fixture
def environment() -> dict[str, str]:
    pytest.importorskip('rclpy', reason='no ROS 2 in this environment')
    pytest.importorskip('ivif_ros.msg', reason='run python -m ivif_ros.interfaces first')
    return {**os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'ROS_DOMAIN_ID': str(1 + os.getpid() % 100),
            'AMENT_PREFIX_PATH': os.environ.get('AMENT_PREFIX_PATH', sys.prefix),
            'PYTHONPATH': os.pathsep.join(
                [str(REPOSITORY), *filter(None, [os.environ.get('PYTHONPATH')])])}


def test_messages_cross_processes(environment):
    with subprocess.Popen([sys.executable, '-c', TALKER], env=environment, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as talker:
        assert talker.stdin is not None
        assert talker.stdout is not None
        assert talker.stdout.readline() == 'published\n'
        heard = subprocess.run([sys.executable, '-c', LISTENER], env=environment, text=True,
                               capture_output=True, timeout=60)
        talker.stdin.write('\n')
    assert heard.returncode == 0, heard.stderr
    got = json.loads(heard.stdout)
    assert got['status'] == [1, 'thermal silent', -1.5, 2**40, 'rgb_optical', 12, 'fusion', 2.25,
                             'rgb.late', 3]
    assert got['deformation'][:2] == [2, 0.5]
    assert np.array_equal(got['deformation'][2], [1, 0, 3.5, 0, 1, 0, 0, 0, 1])
    assert got['deformation'][3] == [0.25, -0.5, 1.0, 2.0]
    assert got['deformation'][4] == [0, 255]
    assert got['boxes'] == ['7', 'person', 0.75, 10.5, 20.0]
    # What the publisher announces over DDS; distributions before Iron announce nothing.
    for name, announced in got['hashes'].items():
        package = 'vision_msgs' if name == 'Detection2DArray' else 'ivif_ros'
        share = find_share(package)
        assert share is not None
        described = json.loads((share / 'msg' / f'{name}.json').read_text())['type_hashes'][0]
        assert announced == described['hash_string']
