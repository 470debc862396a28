# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Detections over real DDS: their stamps, whatever becomes of the fusion, and their track ids."""

import importlib.util
import threading

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from ivif_ros.detection import tracking
from ivif_ros.msg import Status
from ivif_ros.nodes import detection_task
from ivif_ros.nodes.ivif_node import IvifNode
from ivif_ros.ros.diagnostics import Level
from ivif_ros.ros.message_factory import stamp_of
from ivif_ros.types import Detections


class Reader:
    """A detector that finds the same person each time, as wide as its test or the image says.

    Attributes:
        width: of the box in pixels; None reads it from the corner of the image.
    """

    names = {0: 'person'}

    def __init__(self):
        self.width = 20
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()

    def detect(self, bgr):
        width = int(bgr[0, 0, 0]) if self.width is None else self.width
        self.busy.set()
        assert self.gate.wait(20)
        return Detections([[0, 8, width, 40]], [0.9], [0], self.names)

    def set_parameters(self, params):
        pass

    def warm_up(self, size):
        pass

    def close(self):
        pass


@pytest.fixture
def reader(monkeypatch):
    found = Reader()
    monkeypatch.setattr(detection_task, 'load_detector', lambda params, device: found)
    yield found
    found.gate.set()


@pytest.fixture
def rig(start, partner, cameras, reader):
    """The node with cameras; somebody listens to the detections and to nothing else but status."""
    def make(parameters=None, topics=()):
        for topic in ('detections', 'detections_thermal'):
            partner.subscribe(Detection2DArray, topic)
        for topic in topics:
            partner.subscribe(Image, topic)
        partner.subscribe(Status, 'status')
        node = start(IvifNode, parameters)
        both = cameras(node)
        both.wait()
        return node, both
    return make


def stamps(messages):
    return [stamp_of(message.header.stamp) for message in messages]


def more(partner, topic, count=3):
    """Condition: so many more messages than now."""
    already = len(partner.received[topic])
    return lambda: len(partner.received[topic]) >= already + count


def set_detection(node, **values):
    for result in node.set_parameters([
            Parameter(f'detection.{name}', value=value) for name, value in values.items()]):
        assert result.successful, result.reason


def newest_mode(partner):
    return partner.received['status'][-1].mode if partner.received['status'] else None


def check_stamps(partner, first=0):
    """Each image is told about once, in order, under the stamp of a result."""
    told = stamps(partner.received['detections'])[first:]
    assert told == sorted(set(told))
    partner.wait(lambda: set(told) <= set(stamps(partner.received['status'])),
                 'the results that the detections belong to')
    for message in partner.received['detections']:
        assert all(item.header == message.header for item in message.detections)


def test_detections_carry_the_stamp_of_their_image_whatever_the_fusion_does(rig, partner):
    node, both = rig(topics=('fused/image',))
    both.keep_sending(more(partner, 'detections'), 'detections of both cameras')
    for lost, mode in (('thermal', Status.RGB_ONLY), ('rgb', Status.THERMAL_ONLY)):
        both.keep_sending(lambda mode=mode: newest_mode(partner) == mode, f'mode {mode}',
                          **{lost: False})
        both.keep_sending(more(partner, 'detections'), f'detections without {lost}',
                          **{lost: False})
    set_detection(node, period_ms=200.0)
    first = len(partner.received['detections'])
    both.keep_sending(more(partner, 'detections'), 'detections with a period')
    seldom = stamps(partner.received['detections'])[first + 1:]
    assert np.diff(seldom).min() >= 200_000_000
    set_detection(node, period_ms=0.0, enabled=False)
    paused_ns = both.stamp_ns

    def unseen():
        return [stamp for stamp in stamps(partner.received['fused/image']) if stamp > paused_ns][:3]
    both.keep_sending(lambda: len(unseen()) == 3, 'fused images while the detection is off')
    set_detection(node, enabled=True)
    both.keep_sending(more(partner, 'detections'), 'detections after a pause')
    check_stamps(partner)
    told = set(stamps(partner.received['detections']))
    assert not told & set(unseen()[:2]), 'the third may have been on its way'
    partner.wait(lambda: told <= set(stamps(partner.received['fused/image'])),
                 'the images that the detections were made on')


def test_a_slow_detector_tells_the_stamp_of_the_image_it_saw(rig, partner, reader):
    """Each RGB image says its number; the box that was found in it says it again."""
    _, both = rig()
    reader.width = None

    def marked(number):
        picture = both.rgb.copy()
        picture[:, :, 0] = 10 + number % 40
        return both.image('rgb', both.stamp_ns + both.PERIOD_NS, picture)
    sent = {}

    def send_and_look():
        both.send(rgb=marked(len(sent)), thermal=False)
        sent[both.stamp_ns] = 10 + len(sent) % 40
        # The detector is held up from time to time while images come and go.
        if len(sent) % 5 == 0:
            reader.gate.set()
        elif reader.busy.is_set():
            reader.gate.clear()
            reader.busy.clear()
        return len(partner.received['detections']) >= 8
    partner.wait(send_and_look, 'detections of a slow detector')
    reader.gate.set()
    for message in partner.received['detections']:
        assert message.detections[0].bbox.size_x == sent[stamp_of(message.header.stamp)]
    check_stamps(partner)


def test_nothing_old_is_told_after_an_activation(rig, partner, reader):
    node, both = rig()
    both.keep_sending(more(partner, 'detections'), 'detections')
    reader.gate.clear()
    reader.busy.clear()
    both.keep_sending(reader.busy.is_set, 'a busy detector')
    both.keep_sending(more(partner, 'status'), 'images that wait for the detector')
    threading.Timer(0.2, reader.gate.set).start()
    node.trigger_deactivate()
    first, again_ns = len(partner.received['detections']), both.stamp_ns
    node.trigger_activate()
    both.keep_sending(more(partner, 'detections'), 'detections after the activation')
    fresh = [stamp for stamp in stamps(partner.received['detections'])[first:]
             if stamp > again_ns]
    assert len(fresh) >= 2
    check_stamps(partner)


@pytest.mark.skipif(None in (importlib.util.find_spec('lap'), importlib.util.find_spec(
    'ultralytics')), reason='ultralytics or lap is not installed')
def test_detections_and_their_ids_go_on_when_one_camera_is_lost(rig, partner):
    _, both = rig({'detection.track': 'bytetrack'})
    both.keep_sending(lambda: newest_mode(partner) == Status.FUSED
                      and partner.received['detections_thermal'], 'both cameras')
    for lost, mode in (('thermal', Status.RGB_ONLY), ('rgb', Status.THERMAL_ONLY)):
        both.keep_sending(lambda mode=mode: newest_mode(partner) == mode, f'mode {mode}',
                          **{lost: False})
        first = len(partner.received['detections'])
        both.keep_sending(more(partner, 'detections', 5), f'detections without {lost}',
                          **{lost: False})
        for message in partner.received['detections'][first:]:
            assert message.header.frame_id == 'rgb_optical'
            assert [item.id for item in message.detections] == ['1']
    thermal = partner.received['detections_thermal'][-1]
    assert thermal.header.frame_id == 'thermal_optical'
    assert [item.id for item in thermal.detections] == ['1']
    check_stamps(partner)


def test_without_the_package_for_tracking_objects_are_found_without_ids(
        rig, partner, capfd, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(tracking.importlib.util, 'find_spec',
                        lambda name: None if name == 'lap' else object() if name == 'ultralytics'
                        else found(name))
    node, both = rig({'detection.track': 'bytetrack'})
    both.keep_sending(more(partner, 'detections'), 'detections')
    assert [item.id for item in partner.received['detections'][-1].detections] == ['']
    finding = node._detection.finding()
    assert finding.level == Level.WARN
    assert 'without track ids' in finding.message
    assert 'pip install lap' in finding.message
    lines = [line for line in capfd.readouterr().err.splitlines() if 'pip install lap' in line]
    assert len(lines) == 1
    assert '[WARN]' in lines[0]
