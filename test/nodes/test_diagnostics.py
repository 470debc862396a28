# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics says, and how QoS that does not match is handled."""

import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

from ivif_ros.nodes import findings, inputs
from ivif_ros.nodes.ivif_node import IvifNode

FAST = {'output.diagnostics_period_s': 0.1}
TASKS = {'sync', 'rgb input', 'thermal input', 'registration', 'fusion', 'detection',
         'device memory'}
OK, WARN, ERROR, STALE = (getattr(DiagnosticStatus, name) for name in (
    'OK', 'WARN', 'ERROR', 'STALE'))


@pytest.fixture
def rig(start, partner, cameras, monkeypatch):
    monkeypatch.setattr(inputs, 'SILENT_S', 0.3)
    monkeypatch.setattr(findings, 'SILENT_S', 0.3)

    def make(parameters=None, qos=10, *, matches=True):
        partner.subscribe(DiagnosticArray, '/diagnostics')
        partner.subscribe(Image, 'fused/image')
        node = start(IvifNode, {**FAST, **(parameters or {})})
        both = cameras(node, qos)
        if matches:
            both.wait()
        return node, both
    return make


def task(partner, name):
    """Newest status of a task."""
    for message in reversed(partner.received['/diagnostics']):
        for status in message.status:
            if status.name == f'ivif_node: {name}':
                return status
    return None


def values(status):
    return {item.key: item.value for item in status.values}


def test_all_tasks_are_there_and_well_while_images_come(rig, partner):
    _, both = rig()
    both.keep_sending(
        lambda: task(partner, 'fusion') and task(partner, 'fusion').level == OK, 'a healthy fusion')
    newest = {status.name: status for status in partner.received['/diagnostics'][-1].status}
    assert set(newest) == {f'ivif_node: {name}' for name in TASKS}
    assert all(status.hardware_id for status in newest.values())
    assert newest['ivif_node: rgb input'].level == OK
    assert newest['ivif_node: rgb input'].hardware_id == 'rgb_optical'
    assert float(values(newest['ivif_node: rgb input'])['rate [Hz]']) > 0
    assert values(newest['ivif_node: rgb input'])['size [px]'] == '64x48'
    assert newest['ivif_node: detection'].level == OK
    assert 'detection.weights' in newest['ivif_node: detection'].message


def test_before_the_first_image_inputs_are_stale(rig, partner):
    rig()
    partner.wait(lambda: task(partner, 'rgb input'), 'diagnostics')
    assert task(partner, 'rgb input').level == STALE
    assert "no image yet on '/rgb/image_raw'" in task(partner, 'rgb input').message


def test_a_camera_that_falls_silent_is_an_error(rig, partner):
    _, both = rig()
    both.keep_sending(lambda: task(partner, 'thermal input') and
                      task(partner, 'thermal input').level == OK, 'thermal images')
    both.keep_sending(lambda: task(partner, 'thermal input').level == ERROR, 'silence',
                      thermal=False)
    assert 'silent' in task(partner, 'thermal input').message
    both.keep_sending(lambda: task(partner, 'fusion').level == WARN, 'a partial fusion',
                      thermal=False)
    assert 'rgb only' in task(partner, 'fusion').message


def test_bad_images_are_named(rig, partner):
    _, both = rig()

    def send():
        message = both.image('rgb', both.stamp_ns + both.PERIOD_NS)
        message.encoding = '64UC9'
        both.send(rgb=message)
        status = task(partner, 'rgb input')
        return status and status.level == ERROR and status
    status = partner.wait(send, 'an error')
    assert '64UC9' in status.message
    assert int(values(status)['bad_encoding']) > 0


def test_a_best_effort_camera_is_heard(rig, partner):
    qos = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    _, both = rig(qos=qos)
    both.keep_sending(lambda: partner.received['fused/image'], 'a fused image')


def test_a_reliable_camera_is_heard_reliably(rig, partner):
    _, both = rig()
    both.keep_sending(lambda: partner.received['fused/image'], 'a fused image')
    ends = partner.node.get_subscriptions_info_by_topic('/rgb/image_raw')
    assert [end.qos_profile.reliability for end in ends] == [QoSReliabilityPolicy.RELIABLE]


def test_a_fixed_qos_that_does_not_match_is_reported(rig, partner):
    name = 'qos_overrides./rgb/image_raw.subscription.reliability'
    qos = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    _, both = rig({name: 'reliable'}, qos=qos, matches=False)
    both.keep_sending(lambda: task(partner, 'rgb input') and
                      task(partner, 'rgb input').level == ERROR, 'an error')
    message = task(partner, 'rgb input').message
    assert 'reliability' in message
    assert name in message


def test_qos_overrides_are_taken(rig, partner):
    node, _ = rig({'qos_overrides./rgb/image_raw.subscription.depth': 7,
                   'qos_overrides./fused/image.publisher.reliability': 'best_effort'})
    assert node.get_parameter('qos_overrides./rgb/image_raw.subscription.depth').value == 7
    ends = partner.node.get_publishers_info_by_topic('/fused/image')
    assert [end.qos_profile.reliability for end in ends] == [QoSReliabilityPolicy.BEST_EFFORT]


def test_a_task_that_fails_is_an_error_and_no_more(rig, partner):
    node, _ = rig()

    def fail():
        raise RuntimeError('boom')
    node._diagnostics.add('sync', fail)
    partner.wait(lambda: task(partner, 'sync') and task(partner, 'sync').level == ERROR, 'an error')
    assert 'boom' in task(partner, 'sync').message
