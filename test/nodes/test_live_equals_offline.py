# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One recording through the real node over DDS and through `ivif replay`: the same images.

The player waits for the node after each message, and the node for the status of each pair and for
the estimates of the registration, so that nothing is replaced in a mailbox and no estimate is late:
what differed then would be a difference of the two paths.
"""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CameraInfo, Image

from ivif_ros.bags.file import BagFile
from ivif_ros.bags.outputs import ImageWriter
from ivif_ros.bags.writer import BagWriter
from ivif_ros.cli.main import main
from ivif_ros.msg import Status
from ivif_ros.nodes.ivif_node import IvifNode
from ivif_ros.nodes.pairing import Pairing
from ivif_ros.nodes.recorder import Recorder, Settings
from ivif_ros.nodes.stream import StreamNode
from ivif_ros.ros.intrinsics import Intrinsics
from ivif_ros.ros.messages import camera_info_message
from ivif_ros.ros.rosbags_messages import RosbagsFactory
from ivif_ros.sources import open_source

SIM = ('sim:dusk,rgb_size=320x240,thermal_size=160x128,rgb_hz=10,thermal_hz=9,thermal_lag_s=0.015,'
       'jitter_s=0.003,freeze_every_s=0')
SECONDS = 2.2
DROPPED = {'rgb': (7, 8), 'thermal': (4, 12, 13, 14)}
"""Frames that the recording lacks."""
IMAGES = ('fused/image', 'fused/weight', 'thermal_registered/image')
TOPICS = (*IMAGES, 'fused/camera_info', 'deformation', 'status')
KINDS = {'image_raw': Image, 'camera_info': CameraInfo}


@pytest.fixture(scope='module')
def recording(tmp_path_factory):
    """A rig whose cameras have different rates and clocks that differ; some frames are missing."""
    path = tmp_path_factory.mktemp('live') / 'recording'
    factory = RosbagsFactory()
    seen = {'rgb': 0, 'thermal': 0}
    with open_source(SIM, seconds=SECONDS) as source, BagWriter(path) as writer:
        images = {sensor: ImageWriter(writer, factory, f'{sensor}/image_raw') for sensor in seen}
        for sensor, frame in source.frames():
            seen[sensor] += 1
            if seen[sensor] in DROPPED[sensor]:
                continue
            writer.write(f'{sensor}/camera_info', camera_info_message(
                factory, frame.camera, frame.stamp_ns, frame.frame_id), frame.received_ns)
            images[sensor].write(frame.image, frame.stamp_ns, frame.frame_id, frame.received_ns)
    return path


@pytest.fixture
def taken(monkeypatch, partner):
    """Count what the node has taken from DDS and how many pairs it made of that.

    One frame may decide two pairs, of which the mailbox would keep the newer. So the node goes on
    after a pair when its status has come back over DDS, as if the device were fast enough.
    """
    counts = SimpleNamespace(messages=0, pairs=0)
    post = StreamNode._post

    def counted(kind, method):
        original = getattr(kind, method)

        def call(*args):
            value = original(*args)
            counts.messages += 1
            return value
        monkeypatch.setattr(kind, method, call)

    def paced(node, pair):
        post(node, pair)
        counts.pairs += 1
        partner.wait(lambda: len(partner.received['status']) == counts.pairs, 'its status')
        # Estimates run one after the other: this ends behind the one that the pair has started.
        node.pipeline._background.submit(int).result()
    counted(Pairing, 'add')
    counted(Intrinsics, 'update')
    monkeypatch.setattr(StreamNode, '_post', paced)
    return counts


def play(bag, partner, taken):
    """Publish all messages as they were recorded, each when the node is done with the last."""
    with BagFile(bag) as recorded:
        topics = {topic.name: KINDS[topic.name.rpartition('/')[2]] for topic in recorded.topics()}
        publishers = {name: partner.publisher(kind, name) for name, kind in topics.items()}
        partner.wait(lambda: all(p.get_subscription_count() for p in publishers.values()),
                     'the node to listen')
        for number, message in enumerate(recorded.messages(topics), 1):
            publishers[message.topic].publish(bytes(message.data))
            partner.wait(lambda number=number: taken.messages == number, f'message {number}')


def read(path):
    """Topic -> stamp -> message."""
    found = {}
    with AnyReader([path]) as reader:
        for connection, _, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            stamp = message.header.stamp
            found.setdefault(connection.topic.removeprefix('/'), {})[
                stamp.sec * 10**9 + stamp.nanosec] = message
    return found


def same(one, two, topic):
    """All fields are equal, to the last bit; NaN equals NaN."""
    for name in one.__dataclass_fields__:
        a, b = getattr(one, name), getattr(two, name)
        if hasattr(a, '__dataclass_fields__'):
            same(a, b, f'{topic}.{name}')
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=f'{topic}.{name}')
        else:
            assert a == b or (a != a and b != b), f'{topic}.{name}: {a} {b}'


@pytest.mark.parametrize('mode', ['calibrated', 'refine'])
def test_the_images_are_the_same(recording, start, partner, taken, tmp_path, mode):
    # The longest wait lets no frame go before its partner, however slow this machine is.
    settings = {'fusion.device': 'cpu', 'sync.max_wait_ms': 5000.0, 'registration.mode': mode}
    node = start(IvifNode, settings)
    partner.subscribe(Status, 'status')
    writer = BagWriter(tmp_path / 'live')
    recorder = Recorder(writer, Settings(topics=TOPICS))
    stop = partner.spin(recorder)
    try:
        partner.wait(lambda: all(partner.node.count_publishers(topic)
                                 and partner.node.count_subscribers(topic) for topic in TOPICS),
                     'the node and the recorder to find each other')
        play(recording, partner, taken)
        counted = node.counters.snapshot()
        partner.wait(lambda: all(
            topic in writer.sizes and writer.sizes[topic].messages == taken.pairs
            for topic in ('/fused/image', '/fused/weight', '/status')), 'the recorder')
    finally:
        stop()
        writer.close()
        recorder.destroy_node()
    words = [word for name, value in settings.items() for word in ('--set', f'{name}={value}')]
    assert main(['replay', str(recording), '--out', str(tmp_path / 'offline'), '--weight',
                 *words]) == 0
    live, offline = read(tmp_path / 'live'), read(tmp_path / 'offline')
    assert not {name: count for name, count in counted.items() if name in (
        'pair.replaced', 'registration.late', 'registration.failed')}
    if mode == 'refine':
        assert counted['registration.accepted'] >= 2
    # Live, the last frames still wait for partners when the recording ends.
    stamps = sorted(live['fused/image'])
    assert stamps == sorted(offline['fused/image'])[:len(stamps)]
    assert len(stamps) >= SECONDS * 10 - len(DROPPED['rgb']) - 3
    for topic in (*IMAGES, 'fused/camera_info', 'deformation'):
        assert live[topic].keys() == {s for s in offline[topic] if s <= stamps[-1]}, topic
        for stamp in live[topic]:
            same(live[topic][stamp], offline[topic][stamp], topic)
    held = 0
    for stamp in stamps:
        one, two = live['status'][stamp], offline['status'][stamp]
        for name in ('header', 'rgb_stamp', 'thermal_stamp'):
            same(getattr(one, name), getattr(two, name), name)
        for name in ('mode', 'reason', 'skew', 'thermal_held', 'deformation_source', 'confidence',
                     'pairs_in', 'pairs_fused', 'pairs_partial'):
            assert getattr(one, name) == getattr(two, name), name
        held += one.thermal_held
    assert held > 0
    # The images are not all the same, and fusion did something.
    assert len({bytes(message.data) for message in live['fused/image'].values()}) == len(stamps)
