# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The nouns: what they refuse, and the geometry that they promise."""

import dataclasses

import numpy as np
import pytest

from ivif_ros.errors import CalibrationError, ImageError
from ivif_ros.types import CameraModel, Deformation, Detections, Frame, FramePair

K = np.array([[400.0, 0, 319.5], [0, 420.0, 239.5], [0, 0, 1]])


def frame(stamp_ns, received_ns=0):
    return Frame(stamp_ns, 'f', np.zeros((4, 6), np.uint8), None, received_ns)


@pytest.mark.parametrize(('image', 'reason', 'words'), [
    (np.zeros((4, 6, 4), np.uint8), 'bad_shape', r'\(4, 6, 4\)'),
    (np.zeros(6, np.uint8), 'bad_shape', r'\(6,\)'),
    (np.zeros((0, 6), np.uint8), 'empty', 'zero size'),
    (np.zeros((4, 0, 3), np.uint8), 'empty', 'zero size'),
    (np.zeros((4, 6, 3), np.uint16), 'bad_dtype', 'uint16'),
    (np.zeros((4, 6), np.float64), 'bad_dtype', 'float64'),
])
def test_frame_refuses_images_that_no_stage_can_use(image, reason, words):
    with pytest.raises(ImageError, match=words) as caught:
        Frame(1, 'thermal_optical', image)
    assert caught.value.reason == reason
    assert 'thermal_optical' in str(caught.value)


@pytest.mark.parametrize('image', [
    np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.uint16),
    np.zeros((4, 6), np.float32)])
def test_frame_takes_what_cameras_give(image):
    assert Frame(1, 'f', image).size == (6, 4)


def test_pair_takes_its_stamp_from_the_reference():
    assert FramePair(frame(10, 5), frame(12, 3)).stamp_ns == 10
    assert FramePair(frame(10, 5), frame(12, 3)).received_ns == 5
    assert FramePair(frame(10, 5), frame(12, 7)).received_ns == 7
    assert FramePair(None, frame(12, 7)).stamp_ns == 12
    with pytest.raises(ValueError, match='at least one frame'):
        FramePair(None, None)


@pytest.mark.parametrize(('change', 'words'), [
    ({'width': 0}, 'expected positive pixels'),
    ({'matrix': np.eye(2)}, '3x3'),
    ({'matrix': np.full((3, 3), np.nan)}, 'not finite'),
    ({'matrix': np.zeros((3, 3))}, 'not calibrated'),
    ({'distortion_model': 'fov'}, "'fov' is not one of"),
    ({'distortion': np.zeros(3)}, '3 coefficients'),
    ({'distortion': np.full(5, np.inf)}, 'not finite'),
])
def test_camera_refuses(change, words):
    with pytest.raises(CalibrationError, match=words):
        dataclasses.replace(CameraModel(640, 480, K, np.zeros(5)), **change)


def test_scaled_camera_sees_the_same_ray():
    camera = CameraModel(640, 480, K)
    half = camera.scaled_to((320, 240))
    ray = np.array([0.3, -0.2, 1.0])
    x, y, _ = camera.matrix @ ray
    # The centre of pixel (0, 0) of the half image lies between pixels 0 and 1 of the whole one.
    np.testing.assert_allclose((half.matrix @ ray)[:2], [(x - 0.5) / 2, (y - 0.5) / 2])
    np.testing.assert_allclose(half.scaled_to((640, 480)).matrix, K)


def test_arrays_are_copied_and_frozen():
    matrix = K.copy()
    camera = CameraModel(640, 480, matrix)
    matrix[0, 0] = 1
    assert camera.matrix[0, 0] == 400
    with pytest.raises(ValueError, match='read-only'):
        camera.matrix[0, 0] = 1
    deformation = Deformation((8, 6), (4, 3), np.eye(3), np.zeros((2, 2, 2)),
                              confidence_map=np.zeros((2, 2)))
    for array in (deformation.homography, deformation.grid, deformation.confidence_map):
        with pytest.raises(ValueError, match='read-only'):
            array[0, 0] = 1


@pytest.mark.parametrize(('change', 'words'), [
    ({'homography': np.eye(4)}, r'\(4, 4\)'),
    ({'homography': np.diag([1.0, 0, 1])}, 'singular'),
    ({'homography': np.diag([1.0, np.nan, 1])}, 'not finite'),
    ({'confidence': 1.1}, 'expected 0 to 1'),
    ({'confidence': float('nan')}, 'expected 0 to 1'),
    ({'grid': np.zeros((1, 5, 2))}, r'\(1, 5, 2\)'),
    ({'grid': np.zeros((5, 5))}, r'\(5, 5\)'),
    ({'grid': np.full((2, 2, 2), np.nan)}, 'grid is not finite'),
    ({'confidence_map': np.zeros((2, 2, 2))}, r'\(2, 2, 2\)'),
    ({'confidence_map': np.full((2, 2), 1.5)}, 'expected 0 to 1'),
    ({'confidence_map': np.full((2, 2), np.nan)}, 'expected 0 to 1'),
])
def test_deformation_refuses(change, words):
    with pytest.raises(CalibrationError, match=words):
        dataclasses.replace(Deformation((8, 6), (4, 3), np.eye(3)), **change)


def test_stretch_maps_outer_edges_onto_outer_edges():
    deformation = Deformation.stretch((640, 480), (160, 128))
    for rgb, thermal in (((-0.5, -0.5), (-0.5, -0.5)), ((639.5, 479.5), (159.5, 127.5)),
                         ((319.5, 239.5), (79.5, 63.5))):
        np.testing.assert_allclose(deformation.homography @ [*rgb, 1], [*thermal, 1])


def test_detections_have_one_length():
    found = Detections([[0, 0, 4, 4], [1, 1, 2, 2]], [0.5, 0.25], [0, 2], {0: 'a', 2: 'b'})
    assert len(found) == 2
    assert (found.boxes.dtype, found.scores.dtype, found.class_ids.dtype) == (
        np.float32, np.float32, np.int64)
    with pytest.raises(ValueError, match='1 boxes, 2 scores and 2 class ids'):
        Detections(found.boxes[:1], found.scores, found.class_ids, {})
    assert Detections([], [], [], {}).boxes.shape == (0, 4)
    with pytest.raises(ValueError, match='2 boxes and 1 track ids'):
        Detections(found.boxes, found.scores, found.class_ids, {}, [3])


def test_some_of_the_detections():
    found = Detections([[0, 0, 4, 4], [1, 1, 2, 2]], [0.5, 0.25], [0, 2], {0: 'a', 2: 'b'})
    assert found.track_ids is None
    some = found.where(found.scores < 0.5)
    assert (some.boxes.tolist(), some.scores.tolist(), some.class_ids.tolist()) == (
        [[1, 1, 2, 2]], [0.25], [2])
    assert some.names is found.names
    assert some.track_ids is None
    tracked = Detections(found.boxes, found.scores, found.class_ids, found.names, [7, -1])
    assert tracked.track_ids.dtype == np.int64
    assert tracked.where(found.scores > 0.3).track_ids.tolist() == [7]
