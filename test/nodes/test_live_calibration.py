# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""From nothing to a calibration file in a live node, over DDS."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy')

from std_srvs.srv import Trigger

from ivif_ros import pipeline
from ivif_ros.msg import Deformation as DeformationMessage
from ivif_ros.nodes.ivif_node import IvifNode
from ivif_ros.nodes.registration_node import RegistrationNode
from ivif_ros.registration import load_calibration, points_to_thermal
from ivif_ros.registration.estimate import Estimate
from ivif_ros.registration.maps import corners
from ivif_ros.types import Deformation, DeformationSource

TRUTH = Deformation((64, 48), (64, 48), [[0.9, 0.01, 2], [-0.01, 0.92, 1.5], [0, 0, 1]])


@pytest.fixture
def seeing(monkeypatch):
    """Nodes whose estimator sees the rig; the mapping says which one and whether at all."""
    what = {'rig': TRUTH, 'accepted': True}

    def estimator(rgb, thermal, initial):
        if not what['accepted']:
            return Estimate(initial, False, 'too foggy')
        return Estimate(replace(what['rig'], confidence=0.8, residual_px=0.1,
                                source=DeformationSource.ESTIMATED), True, '')
    monkeypatch.setattr(pipeline, 'default_estimator', lambda *device: estimator)
    return what


@pytest.mark.parametrize(('node_type', 'topic'), [
    (IvifNode, 'deformation'), (RegistrationNode, 'deformation')])
def test_from_nothing_to_a_file_and_back(start, partner, cameras, tmp_path, seeing, node_type,
                                         topic):
    path = tmp_path / 'rig.yaml'
    node = start(node_type, {
        'calibration_output': str(path), 'registration.period_ms': 40.0,
        'registration.use_camera_info': False, 'health.flat_level': 0.0})
    name = node.get_name()
    partner.subscribe(DeformationMessage, topic)
    both = cameras(node)
    both.wait()
    counted = lambda: node.counters.snapshot().get('registration.accepted', 0)  # noqa: E731
    both.keep_sending(lambda: counted() >= 5, 'estimates')
    answer = partner.call(Trigger, f'{name}/save_calibration', Trigger.Request())
    assert answer.success, answer.message
    assert str(path) in answer.message
    assert 'pairs of images agree' in answer.message
    assert 'expected error' in answer.message
    assert 'thermal sees 1.1' in answer.message
    saved = load_calibration(path).deformation
    points = corners((64, 48))
    np.testing.assert_allclose(
        points_to_thermal(saved, points), points_to_thermal(TRUTH, points), atol=0.5)

    # Forgotten, and nothing to be seen: there is nothing to save, and the file stays.
    seeing['accepted'] = False
    assert partner.call(Trigger, f'{name}/recalibrate', Trigger.Request()).success
    before = path.read_bytes()
    rejected = lambda: node.counters.snapshot().get('registration.rejected', 0)  # noqa: E731
    both.keep_sending(rejected, 'an estimate that is not accepted')
    answer = partner.call(Trigger, f'{name}/save_calibration', Trigger.Request())
    assert not answer.success
    assert 'no deformation was estimated' in answer.message
    assert path.read_bytes() == before


def test_what_was_saved_is_the_first_guess(start, partner, cameras, tmp_path, seeing):
    from ivif_ros.registration import Calibration, save_calibration

    path = tmp_path / 'rig.yaml'
    save_calibration(path, Calibration(deformation=TRUTH))
    seeing['accepted'] = False
    node = start(IvifNode, {'registration.calibration': str(path), 'health.flat_level': 0.0})
    partner.subscribe(DeformationMessage, 'deformation')
    both = cameras(node)
    both.wait()
    message = both.keep_sending(lambda: partner.received['deformation'], 'a deformation')[0]
    np.testing.assert_allclose(
        np.reshape(message.homography, (3, 3)), TRUTH.homography, atol=1e-6)


def test_a_file_of_other_cameras_is_not_used_and_said_to_be(start, partner, cameras, tmp_path,
                                                             seeing):
    from ivif_ros.registration import Calibration, save_calibration

    path = tmp_path / 'rig.yaml'
    save_calibration(path, Calibration(deformation=Deformation.stretch((128, 72), (64, 48))))
    seeing['accepted'] = False
    node = start(IvifNode, {'registration.calibration': str(path), 'health.flat_level': 0.0})
    partner.subscribe(DeformationMessage, 'deformation')
    both = cameras(node)
    both.wait()
    message = both.keep_sending(lambda: partner.received['deformation'], 'a deformation')[0]
    assert message.source == DeformationMessage.NONE
    assert node.counters.snapshot()['registration.bad_calibration'] >= 1
    assert '128x72' in node.pipeline.registration_problem
