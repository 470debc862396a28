# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The detector of the package: what it finds with both cameras, and with either one."""

import json

import numpy as np
import pytest

from ivif_ros.detection import load_detector
from ivif_ros.detection.base import SHIPPED, shipped_weights
from ivif_ros.detection.isolation import onnxruntime_threads
from ivif_ros.metrics.detection import overlap
from ivif_ros.parameters import DetectionParameters
from ivif_ros.training.data.labelled_streets import labelled_instant
from ivif_ros.training.data.simulated import street_rig
from ivif_ros.training.data.views import PairViews

pytest.importorskip('ultralytics')
PERSON, BICYCLE, CAR = range(3)
MOST_BYTES = 8e6
UNSEEN = 40
"""Seed of a street that no training has rendered."""


@pytest.fixture(scope='module')
def detector():
    pytest.importorskip('onnxruntime')
    found = load_detector(DetectionParameters(), 'cpu')
    yield found
    found.close()


@pytest.fixture(scope='module')
def street():
    return labelled_instant(street_rig(UNSEEN), 1.0)


def share_found(detector, image, pair, kind):
    """Share of the larger objects of a class that are found at half their area."""
    size = (pair.boxes[:, 2:] - pair.boxes[:, :2]).min(1)
    wanted = pair.boxes[(pair.class_ids == kind) & (size >= 16)]
    assert len(wanted) > 2
    found = detector.detect(image)
    boxes = found.boxes[found.class_ids == kind]
    return np.mean([len(boxes) > 0 and overlap(box[None], boxes).max() > 0.5 for box in wanted])


def test_it_is_the_default_and_knows_people_bicycles_and_cars(detector):
    assert DetectionParameters().weights == 'ivif'
    assert detector.names == {PERSON: 'person', BICYCLE: 'bicycle', CAR: 'car'}


@pytest.mark.parametrize('view', ['fused', 'rgb', 'thermal'])
def test_it_finds_cars_in_all_three_situations(detector, street, view):
    image = PairViews().make(view, street.visible, street.thermal)
    assert share_found(detector, image, street, CAR) >= 0.5


def test_a_dark_or_grey_image_has_no_objects(detector):
    for level in (0, 64, 128):
        assert len(detector.detect(np.full((480, 640, 3), level, np.uint8))) == 0


def test_the_files_are_small_and_tell_where_they_come_from():
    onnx = pytest.importorskip('onnx')
    from ivif_ros.training.detection_network import read_network

    files = sorted(path.name for path in SHIPPED.iterdir())
    assert files == ['ivif.onnx', 'ivif.pt']
    assert all((SHIPPED / name).stat().st_size <= MOST_BYTES for name in files)
    _, training = read_network(shipped_weights('cuda'))
    said = {item.key: item.value for item in onnx.load(str(SHIPPED / 'ivif.onnx')).metadata_props}
    assert json.loads(said['training'])['command'] == training['command']
    assert 'YOLOX' in said['license']
    assert training['metrics']['fused/AP50'] > 0.5


def test_its_sessions_use_the_threads_of_the_parameter_and_others_are_left_alone():
    runtime = pytest.importorskip('onnxruntime')
    path, original = str(SHIPPED / 'ivif.onnx'), runtime.InferenceSession
    cpu = ['CPUExecutionProvider']
    with onnxruntime_threads(3):
        assert runtime.InferenceSession(
            path, providers=cpu).get_session_options().intra_op_num_threads == 3
        own = runtime.SessionOptions()
        own.log_severity_level = 4
        options = runtime.InferenceSession(path, own, providers=cpu).get_session_options()
        assert (options.intra_op_num_threads, options.log_severity_level) == (3, 4)
    assert runtime.InferenceSession is original
    with onnxruntime_threads(0):
        assert runtime.InferenceSession is original
