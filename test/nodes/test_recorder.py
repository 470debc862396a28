# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`ivif record`: every message as its bytes came over DDS, or compressed; limits and endings."""

import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import LabelInfo, VisionClass

from ivif_ros.bags.reader import BagSource
from ivif_ros.bags.writer import BagWriter
from ivif_ros.cli.main import main
from ivif_ros.nodes.recorder import Recorder, Settings
from ivif_ros.ros.compressed_codec import compress
from ivif_ros.ros.image_codec import decode_image

SIZE = 100_000
"""Bytes of an image that is talked about."""


def read(path):
    """Topic -> list of receive time and message, and topic -> type."""
    found, kinds = {}, {}
    with AnyReader([path]) as reader:
        for connection, received_ns, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            found.setdefault(connection.topic, []).append((received_ns, message))
            kinds[connection.topic] = connection.msgtype
    return found, kinds


@pytest.fixture
def record(partner, tmp_path):
    """A recorder that is spun as its own process would be, and its bag."""
    made = []

    def make(**settings):
        writer = BagWriter(tmp_path / 'bag', zstd=settings.get('zstd', False))
        node = Recorder(writer, Settings(**settings))
        made.append((node, partner.spin(node), writer))
        return node, writer
    yield make
    for node, stop, writer in made:
        stop()
        writer.close()
        node.destroy_node()


def count(writer, topic):
    size = writer.sizes.get(topic)
    return 0 if size is None else size.messages


def test_messages_are_kept_as_they_came(partner, record, tmp_path):
    labels = partner.publisher(LabelInfo, 'label_info', QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    labels.publish(LabelInfo(class_map=[VisionClass(class_id=3, class_name='person')]))
    images = partner.publisher(Image, 'fused/image')
    node, writer = record(topics=['fused/image', 'label_info', 'status'])
    partner.wait(images.get_subscription_count, 'the recorder')
    before_ns = time.time_ns()
    for index in range(5):
        image = Image(width=2, height=1, step=2, encoding='mono8', data=[index, 7])
        image.header.stamp.sec = 1000 + index
        images.publish(image)
    partner.wait(lambda: count(writer, '/fused/image') == 5 and count(writer, '/label_info'),
                 'all messages')
    after_ns = time.time_ns()
    writer.close()
    found, kinds = read(tmp_path / 'bag')
    assert kinds == {'/fused/image': 'sensor_msgs/msg/Image',
                     '/label_info': 'vision_msgs/msg/LabelInfo'}
    assert [(m.header.stamp.sec, list(m.data), m.encoding) for _, m in found['/fused/image']] == [
        (1000 + index, [index, 7], 'mono8') for index in range(5)]
    times = [received_ns for received_ns, _ in found['/fused/image']]
    assert [before_ns, *times, after_ns] == sorted([before_ns, *times, after_ns])
    assert found['/label_info'][0][1].class_map[0].class_name == 'person'
    assert node.silent == ['/status']
    assert node.counters.snapshot() == {}


def test_cameras_are_recorded_and_images_compressed(partner, cameras, record, tmp_path):
    """A camera at best effort, as drivers publish; 16-bit images keep each value."""
    both = cameras(None, QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    fused = partner.publisher(Image, 'fused/image')
    _, writer = record(topics=['fused/image'], inputs='raw', compression='jpeg', jpeg_quality=95)
    topics = {f'/{sensor}/{name}' for sensor in ('rgb', 'thermal')
              for name in ('image_raw/compressed', 'camera_info')}

    def send():
        for sensor in ('rgb', 'thermal'):
            both.infos[sensor].publish(both.info(sensor))
        both.send()
        fused.publish(both.image('rgb'))
        return topics | {'/fused/image/compressed'} <= set(writer.sizes)
    partner.wait(send, 'all topics')
    # What cannot be decoded is not lost.
    fused.publish(both.image('rgb', encoding='mono12'))
    partner.wait(lambda: count(writer, '/fused/image'), 'the image that cannot be decoded')
    writer.close()
    found, kinds = read(tmp_path / 'bag')
    assert kinds['/rgb/image_raw/compressed'] == 'sensor_msgs/msg/CompressedImage'
    message = found['/thermal/image_raw/compressed'][0][1]
    assert message.format == 'mono16; png compressed '
    counts = decode_image(message, 'thermal')
    assert np.ptp(counts - both.thermal) == 0
    assert counts.dtype == np.uint16
    colour = decode_image(found['/fused/image/compressed'][0][1], 'rgb')
    assert np.abs(colour.astype(int) - both.rgb).mean() < 5
    assert found['/fused/image'][0][1].encoding == 'mono12'
    # What was recorded can be replayed: the cameras are found, and their intrinsics.
    with BagSource(tmp_path / 'bag') as source:
        frames = {sensor: frame for sensor, frame in source.frames() if frame.camera is not None}
    assert {sensor: frame.image.dtype.name for sensor, frame in frames.items()} == {
        'rgb': 'uint8', 'thermal': 'uint16'}


def test_compressed_cameras_are_recorded_as_they_are(partner, record, tmp_path):
    publisher = partner.publisher(CompressedImage, 'rgb/image_raw/compressed')
    _, writer = record(topics=[], inputs='compressed', compression='png')
    partner.wait(publisher.get_subscription_count, 'the recorder')
    name, data = compress(np.arange(48, dtype=np.uint8).reshape(6, 8), 'jpeg')
    publisher.publish(CompressedImage(format=name, data=data.tobytes()))
    partner.wait(lambda: count(writer, '/rgb/image_raw/compressed'), 'the image')
    writer.close()
    found, _ = read(tmp_path / 'bag')
    assert bytes(found['/rgb/image_raw/compressed'][0][1].data) == data.tobytes()


@pytest.mark.parametrize('zstd', [False, True])
def test_the_recording_ends_at_its_limit(partner, record, tmp_path, zstd):
    images = partner.publisher(Image, 'fused/image')
    node, writer = record(topics=['fused/image'], max_bytes=3_000_000, zstd=zstd)
    partner.wait(images.get_subscription_count, 'the recorder')
    noise = np.random.default_rng(0).integers(0, 256, 400_000, np.uint8).tobytes()
    image = Image(width=1000, height=400, step=1000, encoding='mono8')
    image.data.frombytes(noise)

    def send():
        images.publish(image)
        return node.finished
    partner.wait(send, 'the limit')
    written = count(writer, '/fused/image')
    writer.close()
    assert node.full
    assert 3_000_000 <= writer.disk_bytes() < 5_000_000
    assert len(read(tmp_path / 'bag')[0]['/fused/image']) == written


@pytest.fixture
def talk(partner):
    """Publish fused images in a thread until the test ends."""
    images = partner.publisher(Image, 'fused/image')
    image = Image(width=1000, height=SIZE // 1000, step=1000, encoding='mono8')
    image.data.frombytes(bytes(SIZE))
    ended = threading.Event()

    def send():
        while not ended.is_set():
            if images.get_subscription_count():
                images.publish(image)
            ended.wait(0.02)
    thread = threading.Thread(target=send)
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_the_recording_is_complete(talk, tmp_path, capsys, monkeypatch, number):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    # The signal comes while a message is being written.
    original = BagWriter.write_raw

    def interrupted(writer, *args, **kwargs):
        original(writer, *args, **kwargs)
        if writer.sizes['/fused/image'].messages == 5:
            os.kill(os.getpid(), number)
    monkeypatch.setattr(BagWriter, 'write_raw', interrupted)
    assert main(['record', '--out', str(tmp_path / 'bag')]) == 0
    out = capsys.readouterr().out
    assert len(read(tmp_path / 'bag')[0]['/fused/image']) >= 5
    assert 'MB per minute' in out
    line = next(line for line in out.splitlines() if '/fused/image' in line and '│' in line)
    assert line.split('│')[2].strip() == str(len(read(tmp_path / 'bag')[0]['/fused/image']))
    assert 'nothing came on ' in out
    assert '/detections' in out
    assert '/fused/weight' not in out
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_limits_of_the_command(talk, tmp_path, capsys):
    assert main(['record', '--out', str(tmp_path / 'time'), '--seconds', '0.2', '--topics',
                 'fused/image', '--weight', '--compress', 'zstd']) == 0
    out = capsys.readouterr().out
    assert 'nothing came on /fused/weight' in out
    assert 'size limit' not in out
    found, _ = read(tmp_path / 'time')
    times = [received_ns for received_ns, _ in found['/fused/image']]
    assert times[-1] - times[0] <= 0.5e9
    assert main(['record', '--out', str(tmp_path / 'size'), '--max-size', '2']) == 0
    assert 'the size limit of 2 MB was reached' in capsys.readouterr().out
    assert 2e6 <= (tmp_path / 'size' / 'size.mcap').stat().st_size < 4e6
    assert len(read(tmp_path / 'size')[0]['/fused/image']) >= 2e6 / SIZE


def test_remappings_and_namespace(partner, tmp_path):
    images = partner.publisher(Image, '/robot/view')
    ended = threading.Event()

    def send():
        while not ended.wait(0.02):
            images.publish(Image(width=2, height=1, step=2, encoding='mono8', data=[1, 2]))
    thread = threading.Thread(target=send)
    thread.start()
    try:
        assert main(['record', '--out', str(tmp_path / 'bag'), '--seconds', '0.1', '--topics',
                     'fused/image', '-r', '__ns:=/robot', '-r', 'fused/image:=view']) == 0
    finally:
        ended.set()
        thread.join()
    assert list(read(tmp_path / 'bag')[0]) == ['/robot/view']


def test_nothing_came(partner, tmp_path, capsys):
    def end():
        partner.wait(lambda: partner.node.count_subscribers('status'), 'the recorder')
        os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=end)
    thread.start()
    assert main(['record', '--out', str(tmp_path / 'bag'), '--topics', 'status']) == 2
    thread.join()
    error = capsys.readouterr().err
    assert error.startswith("ivif: error: nothing came on /status: '")
    assert 'is the node active' in error


@pytest.mark.parametrize(('words', 'expected'), [
    (['--topics', 'smell'], 'no output smell'),
    (['--max-size', '-1'], '--max-size is -1'),
    (['--seconds', 'nan'], '--seconds is nan'),
    (['--jpeg-quality', '0'], '--jpeg-quality is 0'),
    (['-r', 'nonsense'], 'ROS arguments cannot be used'),
])
def test_one_clear_message(ros, tmp_path, capsys, words, expected):
    assert main(['record', '--out', str(tmp_path / 'new'), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith('ivif: error: ')
    assert expected in error
    assert not (tmp_path / 'new').exists()


def test_existing_output_is_not_touched(ros, tmp_path, capsys):
    (tmp_path / 'old').mkdir()
    assert main(['record', '--out', str(tmp_path / 'old')]) == 2
    assert 'exists already' in capsys.readouterr().err


def test_a_file_that_cannot_grow_ends_it_with_what_is_there(talk, tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'ivif_ros.cli.main', 'record', '--out', tmp_path / 'bag'],
        capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000)))
    assert done.returncode == 2
    error, = done.stderr.splitlines()
    kept = re.search(r'cannot be written: File too large; (\d+) messages before that are kept',
                     error)
    assert len(read(tmp_path / 'bag')[0]['/fused/image']) == int(kept[1]) >= 3_000_000 // SIZE
