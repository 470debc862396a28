# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The player of the cameras: what it publishes, when it starts, and what it keeps."""

import threading

import cv2
import numpy as np
import pytest

from ivif_ros.frame_source import FrameSource
from ivif_ros.types import Frame

camera_source = pytest.importorskip(
    'ivif_ros.nodes.camera_source', reason='scripts/setup installs rclpy')
T0_NS = 1_700_000_000_000_000_000
FRAME_BYTES = 8 * 6 * 3 + 8 * 6 * 2


class Counted(FrameSource):
    """Pairs of 8x6 frames 100 ms apart, thermal 30 ms after RGB; may fail at the end."""

    def __init__(self, pairs, error=None):
        super().__init__()
        self.pairs, self.error = pairs, error
        self.given = 0

    def describe(self):
        return 'counted'

    def true_map(self, rgb_stamp_ns):
        return np.full((6, 8, 2), (rgb_stamp_ns - T0_NS) / 1e9, np.float32)

    def frames(self):
        for index in range(self.pairs):
            stamp = T0_NS + index * 100_000_000
            self.given += 1
            yield 'rgb', Frame(stamp, 'rgb', np.full((6, 8, 3), index % 256, np.uint8), None, stamp)
            stamp += 30_000_000
            yield 'thermal', Frame(
                stamp, 'thermal', np.full((6, 8), index, np.uint16), None, stamp)
        if self.error is not None:
            raise self.error


@pytest.mark.timeout(20)
def test_reads_ahead_within_its_memory(monkeypatch):
    monkeypatch.setattr(camera_source, 'BUFFER_BYTES', 5 * FRAME_BYTES)
    source = Counted(40)
    ahead = camera_source._Ahead(source)
    try:
        assert ahead.ready.wait(10)
        assert 5 <= source.given <= 6
        frames = list(ahead)
    finally:
        ahead.close()
    assert [sensor for sensor, _ in frames] == ['rgb', 'thermal'] * 40
    assert [int(frame.image[0, 0]) for sensor, frame in frames if sensor == 'thermal'] == list(
        range(40))


@pytest.mark.timeout(20)
def test_reading_ahead_ends_when_nobody_wants_more(monkeypatch):
    monkeypatch.setattr(camera_source, 'BUFFER_BYTES', FRAME_BYTES)
    before = threading.active_count()
    source = Counted(10**6)
    ahead = camera_source._Ahead(source)
    assert ahead.ready.wait(10)
    ahead.close()
    assert threading.active_count() == before
    assert source.given < 10


@pytest.mark.timeout(20)
def test_error_of_the_source_comes_after_its_frames():
    ahead = camera_source._Ahead(Counted(2, RuntimeError('torn cable')))
    frames = iter(ahead)
    assert [next(frames)[0] for _ in range(4)] == ['rgb', 'thermal'] * 2
    with pytest.raises(RuntimeError, match='torn cable'):
        next(frames)
    ahead.close()


def test_samples_take_the_nearest_thermal_frame_and_the_truth(tmp_path):
    samples = camera_source._Samples()
    source = Counted(12)
    shift = 5_000_000_000
    for sensor, frame in source.frames():
        shown = Frame(frame.stamp_ns + shift, frame.frame_id, frame.image)
        samples.add(sensor, shown, frame.stamp_ns)
    samples.save(tmp_path / 'samples', source)
    files = sorted((tmp_path / 'samples').glob('*.npz'))
    # Every 0.5 s of 0.0 to 1.1 s; thermal frames stand 70 ms before and 30 ms after each RGB frame.
    expected = (0, 5, 10)
    assert [int(path.stem) for path in files] == [
        T0_NS + shift + index * 100_000_000 for index in expected]
    for index, path in zip(expected, files, strict=True):
        with np.load(path) as arrays:
            assert (arrays['rgb'] == index).all()
            assert (arrays['thermal'] == index).all()
            assert arrays['true_map'] == pytest.approx(index / 10)


def test_samples_of_a_long_run_are_spread_over_it():
    samples = camera_source._Samples()
    for index in range(1000):
        frame = Frame(T0_NS + index * 500_000_000, 'rgb', np.zeros((2, 2, 3), np.uint8))
        samples.add('rgb', frame, frame.stamp_ns)
    seconds = [(item.rgb.stamp_ns - T0_NS) / 1e9 for item in samples.items]
    assert 32 <= len(seconds) <= 64
    assert seconds[0] == 0
    assert seconds[-1] > 480
    assert set(np.diff(seconds)) == {8.0}


@pytest.fixture
def partner(ros, spin):
    """A node in another thread that keeps the images of both cameras."""
    from sensor_msgs.msg import Image

    ros.init(args=[])
    node = ros.create_node('partner')
    node.images, node.complete = {'rgb': [], 'thermal': []}, threading.Event()

    def keep(sensor):
        def callback(message):
            node.images[sensor].append(message)
            if all(len(images) == 3 for images in node.images.values()):
                node.complete.set()
        return callback
    for sensor in node.images:
        node.create_subscription(Image, f'{sensor}/image_raw', keep(sensor), 10)
    spin(node)
    return node


def test_images_arrive_as_they_are_in_the_files(ros, partner, images):
    node = camera_source.CameraSource()
    ahead = None
    try:
        assert node.wait_for([], 20.0)
        with camera_source.open_source(images) as source:
            ahead = camera_source._Ahead(source)
            camera_source.play(node, ahead, None)
        node.wait_until_taken()
        assert partner.complete.wait(20)
    finally:
        if ahead is not None:
            ahead.close()
        node.destroy_node()
    for sensor, encoding, dtype in (('rgb', 'bgr8', np.uint8), ('thermal', 'mono16', np.uint16)):
        for index, message in enumerate(partner.images[sensor]):
            assert message.encoding == encoding
            assert (message.width, message.height) == (64, 48)
            received = np.frombuffer(bytes(message.data), dtype).reshape(48, 64, -1)
            written = cv2.imread(str(images / sensor / f'{index}.png'), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(received, written.reshape(48, 64, -1))
    stamps = {sensor: [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages]
              for sensor, messages in partner.images.items()}
    assert stamps['rgb'] == stamps['thermal']
    assert stamps['rgb'] == sorted(set(stamps['rgb']))


def test_watched_topic_needs_both_ends(ros, partner):
    from std_msgs.msg import Empty

    node = camera_source.CameraSource()
    try:
        assert not node.wait_for(['done'], 0.3)
        node.create_publisher(Empty, 'done', 1)
        partner.create_subscription(Empty, 'done', lambda _: None, 1)
        assert node.wait_for(['done'], 20.0)
    finally:
        node.destroy_node()


def test_partner_that_is_not_active_ends_the_wait(ros, spin):
    from rclpy.lifecycle import LifecycleNode

    ros.init(args=[])
    partner = LifecycleNode('sleeper')
    spin(partner)
    node = camera_source.CameraSource()
    try:
        with pytest.raises(camera_source.SourceError, match="'sleeper' is unconfigured instead of"):
            node.wait_for([], 60.0, 'sleeper')
        partner.trigger_configure()
        with pytest.raises(camera_source.SourceError, match="'sleeper' is inactive instead of"):
            node.wait_for([], 60.0, 'sleeper')
        partner.trigger_activate()
        assert not node.wait_for([], 1.5, 'sleeper')
    finally:
        node.destroy_node()


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--source', 'nowhere'], "source 'nowhere' is not there"),
    (['--source', 'IMAGES', '--timeout', '0.1'], 'nobody listens to rgb/image_raw'),
    (['--source', 'IMAGES', '--seconds', '-1'], 'seconds is -1, expected a positive number'),
])
def test_one_clear_message(ros, images, capfd, arguments, words):
    assert camera_source.main(
        [str(images) if item == 'IMAGES' else item for item in arguments]) == 2
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith('[ERROR]')]
    assert len(errors) == 1
    assert words in errors[0]
