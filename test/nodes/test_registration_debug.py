# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The topic registration/debug: a picture for those who listen, and nothing for nobody."""

import threading

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import CompressedImage, Image

from ivif_ros.msg import Status
from ivif_ros.nodes import debug_output
from ivif_ros.nodes.ivif_node import IvifNode
from ivif_ros.nodes.registration_node import RegistrationNode
from ivif_ros.registration.pictures import debug_picture
from ivif_ros.ros.message_factory import stamp_of
from ivif_ros.types import Deformation

CASES = ((IvifNode, 'status'), (RegistrationNode, 'registration/status'))


def picture(message):
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


@pytest.fixture(params=CASES, ids=['one', 'split'])
def rig(request, start, partner, cameras):
    node_type, status = request.param
    partner.subscribe(Status, status)
    node = start(node_type, {'registration.mode': 'none', 'health.flat_level': 0.0})
    both = cameras(node)
    both.wait()
    return node, both, partner.received[status]


def test_picture_of_the_pair_whose_stamp_it_carries(rig, partner):
    _, both, _ = rig
    partner.subscribe(Image, 'thermal_registered/image')
    partner.subscribe(Image, 'registration/debug')
    both.wait()

    def matched():
        registered = {stamp_of(x.header.stamp): x
                      for x in partner.received['thermal_registered/image']}
        return [(x, registered[stamp_of(x.header.stamp)])
                for x in partner.received['registration/debug']
                if stamp_of(x.header.stamp) in registered]
    debug, registered = both.keep_sending(matched, 'a picture and its pair')[-1]
    assert debug.header.frame_id == 'rgb_optical'
    assert debug.encoding == 'bgr8'
    thermal = np.frombuffer(registered.data, np.uint8).reshape(48, 64)
    expected = debug_picture(both.rgb, thermal, Deformation.stretch((64, 48), (64, 48)))
    np.testing.assert_array_equal(picture(debug), expected)


def test_compressed_form(rig, partner):
    _, both, _ = rig
    partner.subscribe(CompressedImage, 'registration/debug/compressed')
    message = both.keep_sending(
        lambda: partner.received['registration/debug/compressed'], 'a picture')[-1]
    image = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    plain = debug_picture(both.rgb, np.zeros((48, 64), np.uint8),
                          Deformation.stretch((64, 48), (64, 48)))
    assert image.shape == plain.shape
    assert partner.node.count_publishers('registration/camera_info') == 0


def test_nothing_is_drawn_for_nobody(rig, partner, monkeypatch):
    _, both, status = rig
    drawn = []
    monkeypatch.setattr(debug_output, 'debug_picture',
                        lambda *images: drawn.append(1) or debug_picture(*images))
    both.keep_sending(lambda: len(status) > 5, 'results')
    assert drawn == []
    partner.subscribe(Image, 'registration/debug')
    both.keep_sending(lambda: partner.received['registration/debug'], 'a picture')
    assert drawn


def test_a_slow_picture_does_not_hold_up_the_stream(rig, partner, monkeypatch):
    node, both, status = rig
    gate, busy = threading.Event(), threading.Event()

    def slow(*images):
        busy.set()
        assert gate.wait(20)
        return debug_picture(*images)
    monkeypatch.setattr(debug_output, 'debug_picture', slow)
    partner.subscribe(Image, 'registration/debug')
    both.keep_sending(busy.is_set, 'a picture being drawn')
    already = len(status)
    both.keep_sending(lambda: len(status) > already + 5, 'results')
    gate.set()
    both.keep_sending(lambda: partner.received['registration/debug'], 'a picture')
    assert node.counters.snapshot()['registration.debug_replaced'] >= 3


def test_a_single_camera_gives_no_picture(rig, partner):
    _, both, status = rig
    partner.subscribe(Image, 'registration/debug')
    both.keep_sending(lambda: partner.received['registration/debug'], 'a picture')
    both.keep_sending(lambda: status[-1].mode == Status.RGB_ONLY, 'RGB only', thermal=False)
    both.keep_sending(lambda: status[-1].mode == Status.THERMAL_ONLY, 'thermal only', rgb=False)
    single = {stamp_of(x.header.stamp) for x in status if x.mode != Status.FUSED}
    last = max(single)
    both.keep_sending(lambda: stamp_of(partner.received['registration/debug'][-1].header.stamp)
                      > last, 'a picture of a later pair')
    assert not single & {
        stamp_of(x.header.stamp) for x in partner.received['registration/debug']}


def test_a_picture_that_cannot_be_drawn_is_counted(rig, partner, monkeypatch):
    node, both, status = rig

    def fail(*images):
        raise ValueError('no paint')
    monkeypatch.setattr(debug_output, 'debug_picture', fail)
    partner.subscribe(Image, 'registration/debug')
    both.keep_sending(lambda: node.counters.snapshot().get('registration.debug.defect'), 'a count')
    already = len(status)
    both.keep_sending(lambda: len(status) > already + 2, 'results')
