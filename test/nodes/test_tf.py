# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Extrinsics from TF, with stand-ins for tf2_ros, which PyPI does not have."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import Image

from ivif_ros.errors import CalibrationError, MissingDependencyError
from ivif_ros.nodes import tf_watch
from ivif_ros.nodes.ivif_node import IvifNode
from ivif_ros.registration.extrinsics import matrix_from_quaternion
from ivif_ros.ros.tf import TfExtrinsics


class NoPathError(Exception):
    pass


class Buffer:
    """Knows one transform: rgb_optical -> thermal_optical, a quarter turn about z and a shift."""

    def __init__(self, node):
        pass

    def lookup_transform(self, target_frame, source_frame, time):
        if (target_frame, source_frame) != ('thermal_optical', 'rgb_optical'):
            raise NoPathError('no path')
        half = np.sqrt(0.5)
        return SimpleNamespace(transform=SimpleNamespace(
            rotation=SimpleNamespace(x=0.0, y=0.0, z=half, w=half),
            translation=SimpleNamespace(x=0.1, y=-0.2, z=0.3)))


@pytest.fixture
def tf(monkeypatch):
    closed = []
    tf2_ros, tf_transformations = ModuleType('tf2_ros'), ModuleType('tf_transformations')
    tf2_ros.Buffer, tf2_ros.TransformException = Buffer, NoPathError
    tf2_ros.TransformListener = lambda buffer, node, spin_thread: SimpleNamespace(
        unregister=lambda: closed.append(True))
    tf_transformations.quaternion_matrix = lambda quaternion: matrix_from_quaternion(
        np.zeros(3), np.array(quaternion))
    monkeypatch.setitem(sys.modules, 'tf2_ros', tf2_ros)
    monkeypatch.setitem(sys.modules, 'tf_transformations', tf_transformations)
    return closed


def test_transform_takes_points_of_the_rgb_frame_into_the_thermal_frame(tf):
    found = TfExtrinsics(node=None).lookup('rgb_optical', 'thermal_optical')
    np.testing.assert_allclose(found @ [1, 0, 0, 1], [0.1, 0.8, 0.3, 1], atol=1e-12)


@pytest.mark.parametrize('frames', [('', 'thermal_optical'), ('same', 'same'),
                                    ('rgb_optical', 'nowhere')])
def test_frames_that_are_missing_equal_or_not_connected_are_named(tf, frames):
    with pytest.raises(CalibrationError, match=frames[1]):
        TfExtrinsics(node=None).lookup(*frames)


def test_without_tf2_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tf2_ros', None)
    with pytest.raises(MissingDependencyError, match='calibration file'):
        TfExtrinsics(node=None)


def test_node_hands_the_transform_to_the_pipeline_once(tf, start, cameras, monkeypatch):
    monkeypatch.setattr(tf_watch, 'PERIOD_S', 0.05)
    node = start(IvifNode, {'registration.use_tf': True})
    seen = []
    monkeypatch.setattr(node.pipeline, 'set_extrinsics', seen.append)
    both = cameras(node)
    both.wait()
    both.keep_sending(lambda: seen, 'extrinsics')
    np.testing.assert_allclose(seen[0][:3, 3], [0.1, -0.2, 0.3])
    node.trigger_deactivate()
    assert len(seen) == 1
    assert tf == [True]


def test_node_goes_on_without_tf2_and_warns_once(start, partner, cameras, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tf2_ros', None)
    partner.subscribe(Image, 'fused/image')
    node = start(IvifNode, {'registration.use_tf': True})
    both = cameras(node)
    both.wait()
    both.keep_sending(lambda: partner.received['fused/image'], 'a fused image')
    assert capfd.readouterr().err.count('registration.use_tf needs tf2_ros') == 1
