# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The recorder: every message as its bytes came over DDS, with its age."""

import json
import threading
import time

import pytest
from rosbags.highlevel import AnyReader

recorder = pytest.importorskip('ivif_ros.nodes.recorder', reason='scripts/setup installs rclpy')


@pytest.mark.timeout(60)
def test_messages_are_kept_as_they_came(ros, tmp_path):
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from sensor_msgs.msg import Image
    from vision_msgs.msg import LabelInfo, VisionClass

    ros.init(args=[])
    talker = ros.create_node('talker')
    labels = talker.create_publisher(
        LabelInfo, 'label_info', QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    labels.publish(LabelInfo(class_map=[VisionClass(class_id=3, class_name='person')]))
    images = talker.create_publisher(Image, 'fused/image', 10)
    node = recorder.Recorder(tmp_path / 'bag', ['fused/image', 'label_info'])
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while images.get_subscription_count() == 0:
            executor.spin_once(0.05)
        for index in range(5):
            image = Image(width=2, height=1, step=2, encoding='mono8', data=[index, 7])
            image.header.stamp.sec = 1000 + index
            images.publish(image)
        while len(node.arrivals['fused/image']) < 5 or not node.arrivals['label_info']:
            executor.spin_once(0.05)
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()
        talker.destroy_node()
    with AnyReader([tmp_path / 'bag']) as reader:
        assert {item.topic: item.msgtype for item in reader.connections} == {
            '/fused/image': 'sensor_msgs/msg/Image', '/label_info': 'vision_msgs/msg/LabelInfo'}
        found = [(item.topic, received_ns, reader.deserialize(raw, item.msgtype))
                 for item, received_ns, raw in reader.messages()]
    pictures = [(received, message) for topic, received, message in found
                if topic == '/fused/image']
    assert [(m.header.stamp.sec, list(m.data), m.encoding) for _, m in pictures] == [
        (1000 + index, [index, 7], 'mono8') for index in range(5)]
    assert node.arrivals['fused/image'] == [
        (m.header.stamp.sec * 10**9, received - m.header.stamp.sec * 10**9)
        for received, m in pictures]
    names = [message.class_map[0].class_name for topic, _, message in found
             if topic == '/label_info']
    assert names == ['person']


@pytest.mark.timeout(60)
def test_files_are_complete_when_told_to_end(ros, tmp_path):
    ros.init(args=[])
    watcher = ros.create_node('watcher')

    def end():
        # The graph gives no event that this process could wait for.
        while not watcher.count_subscribers('status'):
            time.sleep(0.01)
        ros.try_shutdown()
    thread = threading.Thread(target=end)
    thread.start()
    recorder.record(tmp_path / 'bag', ['status'])
    thread.join()
    watcher.destroy_node()
    assert json.loads((tmp_path / 'bag.arrivals.json').read_text()) == {'status': []}
    assert (tmp_path / 'bag' / 'metadata.yaml').exists()


def test_one_clear_message(ros, tmp_path, capsys):
    (tmp_path / 'old').mkdir()
    for arguments, words in (
            (['--out', str(tmp_path / 'old')], 'exists already'),
            (['--out', str(tmp_path / 'new'), '--topics', 'smell'], "unknown topics ['smell']")):
        assert recorder.main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith('recorder: error: ')
        assert words in error
    assert not (tmp_path / 'new').exists()
