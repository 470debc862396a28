# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Registration, fusion and detection as nodes of their own, and detection beside the stream."""

import threading

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, LabelInfo

from ivif_ros.errors import ParameterError, WeightsError
from ivif_ros.msg import Deformation, Status
from ivif_ros.nodes import detection_task
from ivif_ros.nodes.detection_node import DetectionNode
from ivif_ros.nodes.fusion_node import FusionNode
from ivif_ros.nodes.ivif_node import IvifNode
from ivif_ros.nodes.registration_node import RegistrationNode
from ivif_ros.ros.message_factory import stamp_of
from ivif_ros.types import Detections

LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
BOX = [10.0, 8.0, 30.0, 40.0]


class OneBox:
    """A detector that finds the same person in each image, as fast as it is allowed to."""

    names = {0: 'person', 2: 'car'}

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()
        self.closed = False
        self.sizes = []

    def detect(self, bgr):
        self.busy.set()
        assert self.gate.wait(20)
        self.sizes.append(bgr.shape)
        return Detections(np.array([BOX]), np.array([0.9]), np.array([0]), self.names)

    def set_parameters(self, params):
        if 'unicorn' in params.classes:
            raise ParameterError("class 'unicorn' is not known")

    def warm_up(self, size):
        pass

    def close(self):
        self.closed = True


@pytest.fixture
def detector(monkeypatch):
    found = OneBox()
    monkeypatch.setattr(detection_task, 'load_detector', lambda params, device: found)
    yield found
    found.gate.set()


@pytest.fixture
def listening(partner):
    partner.subscribe(Detection2DArray, 'detections')
    partner.subscribe(Detection2DArray, 'detections_thermal')
    partner.subscribe(Image, 'detections/image')
    partner.subscribe(Image, 'fused/image')
    return partner


def check_detections(partner):
    array = partner.received['detections'][-1]
    assert array.header.frame_id == 'rgb_optical'
    box = array.detections[0].bbox
    assert (box.center.position.x, box.center.position.y) == (20.0, 24.0)
    assert (box.size_x, box.size_y) == (20.0, 32.0)
    assert array.detections[0].header == array.header
    assert array.detections[0].results[0].hypothesis.class_id == 'person'
    thermal = partner.received['detections_thermal'][-1]
    assert thermal.header.frame_id == 'thermal_optical'
    assert len(thermal.detections) == 1


def test_detections_carry_stamp_and_frame_of_the_image_they_were_made_on(
        start, listening, cameras, detector):
    node = start(IvifNode)
    both = cameras(node)
    both.wait()
    topics = ('detections', 'detections_thermal', 'detections/image')
    both.keep_sending(lambda: all(listening.received[topic] for topic in topics), 'detections')
    check_detections(listening)
    stamps = {stamp_of(image.header.stamp) for image in listening.received['fused/image']}
    overlay = listening.received['detections/image'][-1]
    assert (overlay.width, overlay.height, overlay.encoding) == (64, 48, 'bgr8')
    assert stamp_of(listening.received['detections'][0].header.stamp) in stamps


def test_a_slow_detector_does_not_slow_the_fused_stream(start, listening, cameras, detector):
    node = start(IvifNode)
    both = cameras(node)
    both.wait()
    detector.gate.clear()
    both.keep_sending(detector.busy.is_set, 'a busy detector')
    already = len(listening.received['fused/image'])
    both.keep_sending(lambda: len(listening.received['fused/image']) > already + 10, 'fused images')
    assert not listening.received['detections']
    assert node.counters.snapshot()['detection.replaced'] >= 5
    newest = stamp_of(listening.received['fused/image'][-5].header.stamp)
    detector.gate.set()
    both.keep_sending(lambda: len(listening.received['detections']) >= 2, 'detections')
    assert stamp_of(listening.received['detections'][1].header.stamp) >= newest


def test_class_names_reach_a_late_listener(start, partner, detector):
    start(IvifNode)
    partner.subscribe(LabelInfo, 'label_info', LATCHED)
    info = partner.wait(lambda: partner.received['label_info'], 'class names')[0]
    assert [(item.class_id, item.class_name) for item in info.class_map] == [
        (0, 'person'), (2, 'car')]


def test_nothing_is_detected_for_nobody(start, partner, cameras, detector):
    partner.subscribe(Image, 'fused/image')
    node = start(IvifNode)
    both = cameras(node)
    both.wait()
    both.keep_sending(lambda: len(partner.received['fused/image']) > 3, 'fused images')
    assert detector.sizes == []


def test_an_unknown_class_is_refused_and_nothing_changes(start, detector):
    from rclpy.parameter import Parameter
    node = start(IvifNode)
    before = node.params
    result = node.set_parameters_atomically([
        Parameter('detection.classes', value=['unicorn']),
        Parameter('registration.mode', value='none')])
    assert not result.successful
    assert 'unicorn' in result.reason
    assert node.params == before
    assert node.pipeline.params == before


def test_deactivation_frees_the_detector(start, detector):
    node = start(IvifNode)
    node.trigger_deactivate()
    assert detector.closed
    assert node._detection.finding().message == 'inactive'


def test_missing_weights_are_one_warning_and_fusion_goes_on(
        start, partner, cameras, capfd, monkeypatch):
    def fail(params, device):
        raise WeightsError("detector weights 'x.pt' do not exist")
    monkeypatch.setattr(detection_task, 'load_detector', fail)
    partner.subscribe(Image, 'fused/image')
    node = start(IvifNode, {'detection.weights': 'x.pt'})
    both = cameras(node)
    both.wait()
    both.keep_sending(lambda: partner.received['fused/image'], 'a fused image')
    lines = [line for line in capfd.readouterr().err.splitlines() if 'x.pt' in line]
    assert len(lines) == 1
    assert '[WARN]' in lines[0]


def test_three_nodes_do_what_one_does(start, listening, cameras, detector):
    partner = listening
    partner.subscribe(Status, 'status')
    partner.subscribe(Status, 'registration/status')
    partner.subscribe(Deformation, 'deformation')
    partner.subscribe(Image, 'thermal_registered/image')
    registration = start(RegistrationNode, {'sync.thermal_offset_ms': -5.0})
    start(FusionNode, {'sync.thermal_offset_ms': -5.0})
    start(DetectionNode)
    both = cameras(registration)
    both.wait()
    status = both.keep_sending(
        lambda: [item for item in partner.received['status'] if item.mode == Status.FUSED]
        and partner.received['detections_thermal'], 'fusion and detections', skew_ns=5_000_000)
    check_detections(partner)
    status = next(item for item in partner.received['status'] if item.mode == Status.FUSED)
    assert status.skew == 0.0
    assert status.header.frame_id == 'rgb_optical'
    assert status.rgb_stamp == status.header.stamp
    registered = {stamp_of(image.header.stamp)
                  for image in partner.received['thermal_registered/image']}
    assert stamp_of(status.header.stamp) in registered
    assert any(item.mode == Status.FUSED and item.skew == pytest.approx(0.0, abs=1e-3)
               for item in partner.received['registration/status'])


def test_fusion_node_goes_on_without_the_registration(start, partner, cameras):
    partner.subscribe(Status, 'status')
    node = start(FusionNode)
    both = cameras(node)
    partner.wait(lambda: both.publishers['rgb'].get_subscription_count(), 'the node to listen')
    both.keep_sending(lambda: any(item.mode == Status.RGB_ONLY
                                  for item in partner.received['status']), 'an RGB result')
