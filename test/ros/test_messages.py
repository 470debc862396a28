# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Nouns -> messages -> bytes -> messages -> nouns, with the classes of rclpy and of rosbags."""

import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ivif_ros.errors import CalibrationError, MissingDependencyError
from ivif_ros.ros.image_codec import decode_image
from ivif_ros.ros.message_factory import stamp_of
from ivif_ros.ros.messages import (
    camera_from_message,
    camera_info_message,
    compressed_message,
    deformation_from_message,
    deformation_message,
    detections_from_message,
    detections_message,
    image_message,
    label_info_message,
    status_message,
)
from ivif_ros.ros.rclpy_messages import RclpyFactory
from ivif_ros.ros.rosbags_messages import RosbagsFactory
from ivif_ros.ros.typestore import typestore
from ivif_ros.types import (
    CameraModel,
    Deformation,
    DeformationSource,
    Detections,
    Frame,
    FramePair,
    FusionResult,
    Mode,
    ThermalOffset,
)

STAMP = 1_700_000_000_123_456_789


class Rclpy:
    """Messages of rclpy, sent through its own serialisation."""

    def __init__(self):
        pytest.importorskip('rclpy', reason='no ROS 2 in this environment')
        pytest.importorskip('ivif_ros.msg', reason='run python -m ivif_ros.interfaces first')
        self.factory = RclpyFactory()

    def send(self, message):
        from rclpy.serialization import deserialize_message, serialize_message
        return deserialize_message(serialize_message(message), type(message))


class Rosbags:
    """Messages of rosbags, sent through its own serialisation."""

    def __init__(self):
        self.factory = RosbagsFactory()

    def send(self, message):
        data = typestore().serialize_cdr(message, message.__msgtype__)
        return typestore().deserialize_cdr(data, message.__msgtype__)


@pytest.fixture(params=[Rclpy, Rosbags])
def world(request):
    return request.param()


def header_of(message):
    return stamp_of(message.header.stamp), message.header.frame_id


@pytest.mark.parametrize(('encoding', 'sensor'), [
    ('bgr8', 'rgb'), ('rgb8', 'rgb'), ('mono8', 'thermal'), ('16UC1', 'thermal'),
    ('32FC1', 'thermal')])
def test_image(world, encoding, sensor):
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    image = {'mono8': values[..., 0], '16UC1': values[..., 0].astype(np.uint16) * 64,
             '32FC1': values[..., 0] / np.float32(7)}.get(encoding, values)
    got = world.send(image_message(world.factory, image, encoding, STAMP, 'optical'))
    assert header_of(got) == (STAMP, 'optical')
    assert (got.width, got.height, got.encoding, got.is_bigendian) == (7, 5, encoding, 0)
    assert got.step == image.nbytes // 5
    assert np.array_equal(decode_image(got, sensor), image)


def test_compressed_image(world):
    counts = np.arange(35, dtype=np.uint16).reshape(5, 7) * 900
    got = world.send(compressed_message(world.factory, counts, 'png', 90, STAMP, 'thermal'))
    assert header_of(got) == (STAMP, 'thermal')
    assert got.format == 'mono16; png compressed '
    assert np.array_equal(decode_image(got, 'thermal'), counts)


MATRIX = np.array([[500.0, 0, 319.5], [0, 510, 239.5], [0, 0, 1]])


@pytest.mark.parametrize(('model', 'distortion', 'padded'), [
    ('plumb_bob', [0.1, -0.2, 0.001, 0.002, 0.03], 5),
    ('plumb_bob', [0.1, -0.2, 0.001, 0.002], 5),
    ('plumb_bob', [], 5),
    ('rational_polynomial', [0.1, 0.2, 0, 0, 0.3, 0.4, 0.5, 0.6], 8),
    ('equidistant', [0.1, 0.2, 0.3, 0.4], 4)])
def test_camera_info(world, model, distortion, padded):
    camera = CameraModel(640, 480, MATRIX, np.array(distortion), model)
    got = world.send(camera_info_message(world.factory, camera, STAMP, 'optical'))
    assert header_of(got) == (STAMP, 'optical')
    assert (got.width, got.height, got.distortion_model) == (640, 480, model)
    assert list(got.d) == distortion + [0.0] * (padded - len(distortion))
    assert np.array_equal(np.reshape(got.r, (3, 3)), np.eye(3))
    assert np.array_equal(np.reshape(got.p, (3, 4)), np.hstack([MATRIX, np.zeros((3, 1))]))
    back = camera_from_message(got)
    assert back.size == (640, 480)
    assert np.array_equal(back.matrix, MATRIX)
    assert list(back.distortion)[:len(distortion)] == distortion
    assert back.distortion_model == model


def info(**fields):
    region = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    return SimpleNamespace(**{
        'width': 640, 'height': 480, 'k': MATRIX.reshape(-1), 'd': [0.1, 0, 0, 0, 0],
        'distortion_model': 'plumb_bob', 'binning_x': 0, 'binning_y': 0, 'roi': region, **fields})


def test_region_and_binning_move_the_pixels():
    """A point of the scene lands where the sensor pixel that sees it went."""
    region = SimpleNamespace(x_offset=100, y_offset=60, width=400, height=300)
    camera = camera_from_message(info(roi=region, binning_x=2, binning_y=3))
    assert camera.size == (200, 100)
    for x, y in ((0.3, -0.2), (-0.1, 0.25)):
        u, v, _ = MATRIX @ (x, y, 1)
        # Cut off, then average 2 by 3 sensor pixels: edges of pixels map to edges of bins.
        want = (u - 100 + 0.5) / 2 - 0.5, (v - 60 + 0.5) / 3 - 0.5
        assert np.allclose((camera.matrix @ (x, y, 1))[:2], want)


def test_binning_is_the_same_as_a_smaller_image():
    binned = camera_from_message(info(binning_x=2, binning_y=2))
    assert binned.size == (320, 240)
    assert np.allclose(binned.matrix, CameraModel(640, 480, MATRIX).scaled_to((320, 240)).matrix)


def test_uncalibrated_camera():
    assert camera_from_message(info(k=[0.0] * 9)) is None


@pytest.mark.parametrize('model', ['', 'none', 'plumb_bob'])
def test_ideal_lens(model):
    for distortion in ([], [0.0] * 5):
        camera = camera_from_message(info(d=distortion, distortion_model=model))
        assert camera.distortion.size == 0
        assert camera.distortion_model == 'plumb_bob'


def test_camera_info_of_ros1():
    message = info()
    message.K, message.D = message.k, message.d
    del message.k, message.d
    assert np.array_equal(camera_from_message(message).matrix, MATRIX)


@pytest.mark.parametrize('fields', [
    {'width': 0, 'height': 0},
    {'roi': SimpleNamespace(x_offset=300, y_offset=0, width=400, height=480)},
    {'roi': SimpleNamespace(x_offset=0, y_offset=1, width=0, height=0)},
    {'distortion_model': 'none'},
    {'d': [0.1, 0.2]},
    {'k': [float('nan')] * 9},
    {'k': [-1.0, 0, 0, 0, 1, 0, 0, 0, 1]},
    {'binning_x': 1000}])
def test_contradictory_camera_info(fields):
    with pytest.raises(CalibrationError):
        camera_from_message(info(**fields))


@pytest.mark.parametrize('grid', [None, (3, 4)])
def test_deformation(world, grid):
    rng = np.random.default_rng(1)
    deformation = Deformation(
        (640, 480), (160, 120), np.array([[0.25, 0.01, 3], [0, 0.26, -2], [1e-5, 0, 1]]),
        None if grid is None else rng.normal(size=(*grid, 2)).astype(np.float32),
        confidence=0.75, residual_px=1.5, source=DeformationSource.LAST_GOOD,
        confidence_map=None if grid is None else rng.uniform(size=(5, 7)))
    message = world.send(
        deformation_message(world.factory, deformation, STAMP, 'rgb', 'thermal'))
    assert header_of(message) == (STAMP, 'rgb')
    assert message.thermal_frame_id == 'thermal'
    assert (message.grid_width, message.grid_height) == ((0, 0) if grid is None else (4, 3))
    if grid is not None:
        # Row i, column j, then x before y.
        assert message.displacement[(2 * 4 + 3) * 2 + 1] == deformation.grid[2, 3, 1]
        assert (message.confidence_width, message.confidence_height) == (7, 5)
        assert message.confidence_map[4 * 7 + 2] == round(255 * deformation.confidence_map[4, 2])
    back = deformation_from_message(message)
    assert back.rgb_size == (640, 480)
    assert back.thermal_size == (160, 120)
    assert np.array_equal(back.homography, deformation.homography)
    assert (back.grid is None) == (grid is None)
    assert grid is None or np.array_equal(back.grid, deformation.grid)
    assert (back.confidence, back.residual_px, back.source) == (
        0.75, 1.5, DeformationSource.LAST_GOOD)
    if grid is None:
        assert back.confidence_map is None
    else:
        np.testing.assert_allclose(back.confidence_map, deformation.confidence_map, atol=0.5 / 255)


@pytest.mark.parametrize('change', [
    {'grid_width': 5, 'grid_height': 2}, {'source': 9}, {'confidence': 1.5}, {'rgb_width': 0},
    {'confidence_width': 4, 'confidence_height': 3}])
def test_contradictory_deformation(change):
    message = deformation_message(
        RosbagsFactory(), Deformation.stretch((640, 480), (160, 120)), STAMP, 'rgb', 'thermal')
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(CalibrationError):
        deformation_from_message(message)


def result(**fields):
    rgb = Frame(STAMP, 'rgb', np.zeros((2, 2, 3), np.uint8))
    thermal = Frame(STAMP + 7_000_000, 'thermal', np.zeros((2, 2), np.uint16))
    return FusionResult(**{
        'pair': FramePair(rgb, thermal, skew_ns=-2_500_000, held=True,
                          offset=ThermalOffset(-40.0, -80.5, 3.25)), 'mode': Mode.FUSED,
        'reason': '', 'fused': np.zeros((2, 2, 3), np.uint8), 'thermal_registered': None,
        'deformation': Deformation((2, 2), (2, 2), np.eye(3), confidence=0.5, residual_px=0.25,
                                   source=DeformationSource.ESTIMATED),
        'detections': None, 'latency_ms': {'fusion': 1.5, 'warp': 0.25}, **fields})


def test_status(world):
    got = world.send(status_message(
        world.factory, result(), STAMP, 'rgb', pairs_in=9, pairs_fused=7, pairs_partial=2,
        dropped={'rgb.late': 3, 'thermal.frozen': 2**40}))
    assert header_of(got) == (STAMP, 'rgb')
    assert (got.mode, got.reason, got.skew, got.thermal_held) == (0, '', -2.5, True)
    assert (got.thermal_offset, got.thermal_offset_estimate, got.thermal_offset_std) == (
        -40.0, -80.5, 3.25)
    assert (stamp_of(got.rgb_stamp), stamp_of(got.thermal_stamp)) == (STAMP, STAMP + 7_000_000)
    assert (got.deformation_source, got.confidence, got.residual) == (2, 0.5, 0.25)
    assert [(x.name, x.latency) for x in got.latencies] == [('fusion', 1.5), ('warp', 0.25)]
    assert (got.pairs_in, got.pairs_fused, got.pairs_partial) == (9, 7, 2)
    assert [(x.name, x.count) for x in got.dropped] == [('rgb.late', 3), ('thermal.frozen', 2**40)]


def test_status_of_one_camera(world):
    whole = result()
    alone = result(pair=FramePair(whole.pair.rgb, None), mode=Mode.RGB_ONLY, reason='thermal gone',
                   deformation=None)
    got = world.send(status_message(world.factory, alone, STAMP, 'rgb', pairs_in=1, pairs_fused=0,
                                    pairs_partial=1, dropped={}))
    assert (got.mode, got.reason, got.thermal_held) == (1, 'thermal gone', False)
    assert (stamp_of(got.rgb_stamp), stamp_of(got.thermal_stamp)) == (STAMP, 0)
    assert (got.deformation_source, got.confidence) == (0, 0.0)
    assert math.isnan(got.residual)
    assert got.thermal_offset == 0.0
    assert math.isnan(got.thermal_offset_estimate)
    assert math.isnan(got.thermal_offset_std)


FOUND = Detections(
    np.array([[10.5, 20, 30.5, 80], [0, 0, 640, 480]]), np.array([0.75, 0.5]), np.array([0, 2]),
    {0: 'person', 2: 'car'})


def test_detections(world):
    got = world.send(detections_message(world.factory, FOUND, STAMP, 'rgb'))
    assert header_of(got) == (STAMP, 'rgb')
    first = got.detections[0]
    assert header_of(first) == (STAMP, 'rgb')
    assert first.results[0].hypothesis.class_id == 'person'
    assert first.results[0].hypothesis.score == 0.75
    assert first.results[0].pose.pose.orientation.w == 1.0
    box = first.bbox
    assert (box.center.position.x, box.center.position.y, box.center.theta) == (20.5, 50, 0)
    assert (box.size_x, box.size_y) == (20, 60)
    back = detections_from_message(got, {0: 'person', 2: 'car', 5: 'dog'})
    assert np.array_equal(back.boxes, FOUND.boxes)
    assert np.array_equal(back.scores, FOUND.scores)
    assert back.class_ids.tolist() == [0, 2]
    assert back.names == {0: 'person', 2: 'car', 5: 'dog'}
    nothing = Detections([], [], [], {})
    assert len(detections_from_message(
        world.send(detections_message(world.factory, nothing, STAMP, 'rgb')), {})) == 0


def test_track_ids(world):
    assert [item.id for item in world.send(
        detections_message(world.factory, FOUND, STAMP, 'rgb')).detections] == ['', '']
    tracked = replace(FOUND, track_ids=np.array([17, -1]))
    got = world.send(detections_message(world.factory, tracked, STAMP, 'rgb'))
    assert [item.id for item in got.detections] == ['17', '']
    assert detections_from_message(got, {}).track_ids.tolist() == [17, -1]
    for other in ('', 'b7a2-41', '-3', '9' * 30):
        got.detections[0].id = other
        assert detections_from_message(got, {}).track_ids is None


def test_detections_of_other_nodes():
    """Numbers as text, names that no LabelInfo lists, several hypotheses, none at all."""
    factory = RosbagsFactory()
    message = detections_message(factory, FOUND, STAMP, 'rgb')
    first, second = message.detections
    first.results[0].hypothesis.class_id = '2'
    second.results[0].hypothesis.class_id = 'tram'
    other = detections_message(factory, FOUND, STAMP, 'rgb').detections[0].results[0]
    other.hypothesis.score, other.hypothesis.class_id = 0.6, 'bus'
    second.results.append(other)
    message.detections.append(
        detections_message(factory, FOUND, STAMP, 'rgb').detections[0])
    message.detections[2].results = []
    back = detections_from_message(message, {2: 'car'})
    assert back.class_ids.tolist() == [2, 3]
    assert back.names == {2: 'car', 3: 'bus'}
    assert back.scores.tolist() == [0.75, np.float32(0.6)]


def test_unnamed_class_is_told_by_its_number(world):
    found = Detections(FOUND.boxes, FOUND.scores, np.array([7, 8]), {})
    got = detections_message(world.factory, found, STAMP, 'rgb')
    assert got.detections[0].results[0].hypothesis.class_id == '7'
    assert detections_from_message(got, {}).class_ids.tolist() == [7, 8]


def test_label_info(world):
    got = world.send(label_info_message(world.factory, {2: 'car', 0: 'person'}, STAMP, 0.25))
    assert stamp_of(got.header.stamp) == STAMP
    assert [(x.class_id, x.class_name) for x in got.class_map] == [(0, 'person'), (2, 'car')]
    assert got.threshold == 0.25


def test_unknown_field_is_refused(world):
    with pytest.raises(TypeError, match="no field 'stamp'"):
        world.factory.make('sensor_msgs/msg/Image', stamp=1)


def test_rclpy_buffers_are_filled_without_a_detour():
    import array
    world = Rclpy()
    image = np.zeros((4, 4, 3), np.uint8)
    message = image_message(world.factory, image, 'bgr8', STAMP, 'rgb')
    assert isinstance(message.data, array.array)
    assert message.data.typecode == 'B'
    camera = camera_info_message(world.factory, CameraModel(640, 480, MATRIX), STAMP, 'rgb')
    assert isinstance(camera.d, array.array)
    assert camera.d.typecode == 'd'
    assert camera.k.dtype == np.float64
    assert camera.k.shape == (9,)


@pytest.mark.parametrize(('package', 'name', 'advice'), [
    ('vision_msgs', 'Detection2D', 'python -m ivif_ros.interfaces'),
    ('ivif_ros', 'Status', 'python -m ivif_ros.interfaces'),
    ('sensor_msgs', 'Image', 'pip install ros-jazzy-sensor-msgs')])
def test_missing_package_says_what_to_run(monkeypatch, package, name, advice):
    monkeypatch.setitem(sys.modules, f'{package}.msg', None)
    with pytest.raises(MissingDependencyError, match=advice):
        RclpyFactory().make(f'{package}/msg/{name}')


def test_unknown_type_of_a_recording():
    with pytest.raises(MissingDependencyError, match='no_msgs/msg/Thing'):
        RosbagsFactory().make('no_msgs/msg/Thing')


def test_typestore_is_shared():
    assert typestore() is typestore()
    assert 'ivif_ros/msg/Status' in typestore().types
    assert 'vision_msgs/msg/LabelInfo' in typestore().types
