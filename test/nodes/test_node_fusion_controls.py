# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Operator's controls through parameters of a running node, and the topic fused/weight."""

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from ivif_ros.msg import Status
from ivif_ros.nodes.fusion_node import FusionNode
from ivif_ros.nodes.ivif_node import IvifNode
from ivif_ros.nodes.registration_node import RegistrationNode
from ivif_ros.ros.message_factory import stamp_of

STRETCH = {'registration.mode': 'none', 'health.flat_level': 0.0}


def pixels(message, channels):
    shape = (message.height, message.width, channels)
    return np.frombuffer(message.data, np.uint8).reshape(shape).squeeze()


def fused_after(partner, both, **options):
    """A fused image of a pair sent from now on."""
    since = both.stamp_ns

    def found():
        stamps = {stamp_of(item.header.stamp) for item in partner.received['status']
                  if item.mode == Status.FUSED and stamp_of(item.header.stamp) > since}
        return [image for image in partner.received['fused/image']
                if stamp_of(image.header.stamp) in stamps]
    return both.keep_sending(found, 'a fused image', **options)[-1]


@pytest.fixture
def rig(start, partner, cameras):
    partner.subscribe(Image, 'fused/image')
    partner.subscribe(Status, 'status')
    node = start(IvifNode, {**STRETCH, 'fusion.method': 'maximum'})
    both = cameras(node)
    both.rgb = np.full((48, 64, 3), 40, np.uint8)
    both.thermal = np.full((48, 64), 7000, np.uint16)
    both.thermal[16:32, 24:40] = 9000
    both.wait()
    return node, both


def set_fusion(node, **values):
    return node.set_parameters_atomically(
        [Parameter(f'fusion.{name}', value=value) for name, value in values.items()])


def test_controls_take_effect_while_the_node_runs(rig, partner):
    node, both = rig
    plain = pixels(fused_after(partner, both), 3)
    assert (plain.max(axis=2) == plain.min(axis=2)).all()

    assert set_fusion(node, emphasis=0.0).successful
    details = pixels(fused_after(partner, both), 3)
    assert details[20:28, 28:36].mean() < plain[20:28, 28:36].mean() - 20

    assert set_fusion(node, emphasis=1.0).successful
    targets = pixels(fused_after(partner, both), 3)
    assert targets[:8].mean() < plain[:8].mean() - 3
    assert targets[20:28, 28:36].mean() >= plain[20:28, 28:36].mean()

    assert set_fusion(node, emphasis=0.5, colour_map='hot', colour_map_blend=1.0).successful
    both.thermal[16:32, 24:40] = 8000
    both.thermal[:4, :4] = 9500
    coloured = pixels(fused_after(partner, both), 3).astype(int)
    middle = coloured[20:28, 28:36]
    assert (middle[..., 2] > middle[..., 0] + 50).all(), 'red at least where it is warm'

    assert set_fusion(node, colour_map='none', low_light_prior=1.0).successful
    assert node.pipeline.params.fusion.low_light_prior == 1.0


def test_impossible_values_are_refused(rig):
    node, _ = rig
    before = node.params
    for name, value, word in (('emphasis', 1.5, '1.5'), ('colour_map', 'tartan', 'tartan')):
        result = set_fusion(node, **{name: value})
        assert not result.successful
        assert word in result.reason
    assert node.params == before


def test_weight_is_measured_only_for_somebody(rig, partner, monkeypatch):
    node, both = rig
    asked = []
    measure = node.pipeline._engine.contribution
    monkeypatch.setattr(node.pipeline._engine, 'contribution',
                        lambda *images: asked.append(1) or measure(*images))
    for _ in range(3):
        fused_after(partner, both)
    assert asked == []
    partner.subscribe(Image, 'fused/weight')
    weight = both.keep_sending(lambda: partner.received['fused/weight'], 'a weight')[-1]
    assert asked
    assert (weight.width, weight.height, weight.encoding) == (64, 48, 'mono8')


def test_weight_has_stamp_and_frame_of_the_fused_image_and_tells_the_camera(rig, partner):
    _, both = rig
    for topic, kind in (('fused/weight', Image), ('fused/camera_info', CameraInfo)):
        partner.subscribe(kind, topic)
    both.wait()
    image = fused_after(partner, both)
    assert image.header.frame_id == 'rgb_optical'
    stamp = stamp_of(image.header.stamp)

    def same():
        return [x for x in partner.received['fused/weight'] if stamp_of(x.header.stamp) >= stamp]
    weight = both.keep_sending(same, 'a weight')[0]
    assert weight.header.frame_id == 'rgb_optical'
    assert stamp_of(weight.header.stamp) in {
        stamp_of(x.header.stamp) for x in partner.received['fused/image']}
    share = pixels(weight, 1)
    assert share[20:28, 28:36].min() > 200
    assert share[:4, :4].max() < 60
    assert partner.node.count_publishers('fused/camera_info') == 1
    assert partner.node.count_publishers('fused/weight/camera_info') == 0


def test_weight_of_a_single_camera(rig, partner):
    _, both = rig
    partner.subscribe(Image, 'fused/weight')
    both.wait()
    fused_after(partner, both)
    for options, mode, value in (({'thermal': False}, Status.RGB_ONLY, 0),
                                 ({'rgb': False}, Status.THERMAL_ONLY, 255)):
        partner.received['status'].clear()
        partner.received['fused/weight'].clear()

        def found(mode=mode):
            stamps = {stamp_of(item.header.stamp) for item in partner.received['status']
                      if item.mode == mode}
            return [x for x in partner.received['fused/weight']
                    if stamp_of(x.header.stamp) in stamps]
        share = pixels(both.keep_sending(found, f'a weight in mode {mode}', **options)[-1], 1)
        assert (share == value).all()


def test_split_node_publishes_the_weight_too(start, partner, cameras):
    partner.subscribe(Image, 'fused/weight')
    registration = start(RegistrationNode, STRETCH)
    start(FusionNode, {**STRETCH, 'fusion.emphasis': 1.0})
    both = cameras(registration)
    both.wait()
    weight = both.keep_sending(
        lambda: [x for x in partner.received['fused/weight'] if any(x.data)], 'a weight')[-1]
    assert (weight.header.frame_id, weight.encoding) == ('rgb_optical', 'mono8')
