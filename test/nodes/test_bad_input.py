# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Whatever the cameras send: a counter, a log line, and the node goes on."""

import numpy as np
import pytest

pytest.importorskip('rclpy')

from ivif_ros.msg import Status
from ivif_ros.nodes.ivif_node import IvifNode
from ivif_ros.registration import Calibration, save_calibration
from ivif_ros.ros.diagnostics import Level
from ivif_ros.ros.message_factory import stamp_of
from ivif_ros.types import CameraModel

S = 1_000_000_000


@pytest.fixture
def rig(start, partner, cameras):
    def make(parameters=None):
        node = start(IvifNode, parameters)
        partner.subscribe(Status, 'status')
        both = cameras(node)
        both.wait()
        return node, both
    return make


def fused_again(partner, both):
    """The node is alive: good images become a full fusion."""
    partner.received['status'].clear()
    both.keep_sending(lambda: any(status.mode == Status.FUSED
                                  for status in partner.received['status']), 'a fused pair')


def counted(partner, name, at_least=1):
    """The newest status tells a count."""
    for status in reversed(partner.received['status']):
        for counter in status.dropped:
            if counter.name == name and counter.count >= at_least:
                return counter.count
    return 0


def spoilt(both, sensor, **fields):
    message = both.image(sensor, both.stamp_ns + both.PERIOD_NS)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(('sensor', 'fields', 'reason'), [
    ('rgb', {'encoding': '64UC9'}, 'bad_encoding'),
    ('rgb', {'encoding': '32FC1'}, 'bad_encoding'),
    ('thermal', {'encoding': 'bayer_rggb8'}, 'bad_encoding'),
    ('rgb', {'step': 64}, 'bad_step'),
    ('thermal', {'step': 64}, 'bad_step'),
    ('rgb', {'data': b'\x00' * 100}, 'short_data'),
    ('thermal', {'data': b''}, 'short_data'),
    ('rgb', {'width': 0}, 'empty'),
    ('thermal', {'height': 0}, 'empty'),
])
def test_image_that_cannot_be_read(rig, partner, sensor, fields, reason):
    _, both = rig()
    other = {'rgb': 'thermal', 'thermal': 'rgb'}[sensor]

    def send():
        both.send(**{sensor: spoilt(both, sensor, **fields), other: True})
        return counted(partner, f'{sensor}.{reason}')
    partner.wait(send, f'counter {sensor}.{reason}')
    fused_again(partner, both)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_float_thermal_without_a_finite_value(rig, partner, value):
    node, both = rig()
    picture = np.full((48, 64), value, np.float32)

    def send():
        both.send(thermal=both.image('thermal', both.stamp_ns + both.PERIOD_NS, picture))
        return [status for status in partner.received['status']
                if status.mode == Status.RGB_ONLY and any(
                    item.name.startswith('thermal.') for item in status.dropped)]
    status = partner.wait(send, 'an RGB result and a counter')[-1]
    assert 'finite' in status.reason
    assert not [name for name in node.counters.snapshot() if name.endswith('.defect')]
    fused_again(partner, both)


def test_single_nan_pixels_do_no_harm(rig, partner):
    node, both = rig()
    picture = both.thermal.astype(np.float32)
    picture[::5, ::7] = np.nan

    def send():
        both.send(thermal=both.image('thermal', both.stamp_ns + both.PERIOD_NS, picture))
        return any(status.mode == Status.FUSED for status in partner.received['status'])
    partner.wait(send, 'a fused pair')
    assert not [name for name in node.counters.snapshot() if name.endswith('.defect')]


def test_all_equal_thermal_image(rig, partner):
    _, both = rig()
    picture = np.full((48, 64), 8000, np.uint16)

    def send():
        both.send(thermal=both.image('thermal', both.stamp_ns + both.PERIOD_NS, picture))
        return [status for status in partner.received['status']
                if 'thermal flat' in status.reason]
    status = partner.wait(send, 'a result that says so')[-1]
    assert status.mode == Status.RGB_ONLY
    fused_again(partner, both)


@pytest.mark.parametrize(('info', 'reason'), [
    ({'width': 128}, 'contradictory_camera_info'),
    ({'focal': -3.0}, 'bad_camera_info'),
])
def test_camera_info_that_contradicts_the_image_or_itself(rig, partner, info, reason):
    node, both = rig()

    def send():
        both.infos['rgb'].publish(both.info('rgb', **info))
        both.send()
        return node.counters.snapshot().get(f'rgb.{reason}')
    partner.wait(send, f'counter rgb.{reason}')
    both.infos['rgb'].publish(both.info('rgb'))
    fused_again(partner, both)


def test_missing_camera_info_is_no_reason_to_stop(rig, partner):
    node, both = rig()
    fused_again(partner, both)
    found = node.registration_finding()
    assert found.level is Level.WARN
    assert 'no calibration' in found.message
    assert 'set registration.calibration' in found.message


def test_a_calibration_of_another_rig_is_counted_and_named(rig, partner, tmp_path):
    camera = CameraModel(64, 48, np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]]))
    apart = np.eye(4)
    apart[0, 3] = 5000.0     # the thermal camera looks past everything
    save_calibration(tmp_path / 'rig.yaml', Calibration(camera, camera, apart))
    node, both = rig({'registration.calibration': str(tmp_path / 'rig.yaml')})
    fused_again(partner, both)
    assert node.counters.snapshot()['registration.bad_calibration'] >= 1
    assert 'does not see' in node.registration_finding().message


def test_one_silent_camera_leaves_the_other(rig, partner):
    _, both = rig()
    fused_again(partner, both)
    for silent, mode in (('thermal', Status.RGB_ONLY), ('rgb', Status.THERMAL_ONLY)):
        status = both.keep_sending(
            lambda mode=mode: next((status for status in partner.received['status']
                                    if status.mode == mode), None),
            f'a result without {silent}', **{silent: False})
        assert f'{silent} missing' in status.reason
        fused_again(partner, both)


def test_stamps_of_zero_are_counted_and_paired_by_arrival(rig, partner, capfd):
    node, both = rig()

    def send():
        for sensor in ('thermal', 'rgb'):
            both.publishers[sensor].publish(both.image(sensor, 0))
        return {'rgb.zero_stamp', 'thermal.zero_stamp'} <= set(node.counters.snapshot())
    partner.wait(send, 'counters of zero stamps')
    fused_again(partner, both)
    warnings = [line for line in capfd.readouterr().err.splitlines() if 'no stamp' in line]
    assert len(warnings) == 2, 'one for each camera'


def test_stamps_that_go_back_start_a_new_time(rig, partner):
    node, both = rig()
    fused_again(partner, both)
    both.stamp_ns -= 600 * S
    both.keep_sending(lambda: {'rgb.clock_jump', 'thermal.clock_jump'} <= set(
        node.counters.snapshot()), 'counters of the jump')
    fused_again(partner, both)


def test_100_ms_of_jitter_is_held_and_late_frames_are_counted(rig, partner):
    node, both = rig({'sync.pairing': 'hold'})
    rng = np.random.default_rng(1)
    fused_again(partner, both)
    partner.received['status'].clear()

    def send():
        both.send(skew_ns=int(rng.integers(-100, 100)) * 1_000_000)
        return len(partner.received['status']) > 40 and counted(partner, 'thermal.late')
    partner.wait(send, '40 results and late frames')
    stamps = [stamp_of(status.header.stamp) for status in partner.received['status']]
    assert stamps == sorted(set(stamps)), 'each RGB image once and in order'
    assert any(status.thermal_held for status in partner.received['status'])
    assert not [name for name in node.counters.snapshot() if name.endswith('.defect')]
    fused_again(partner, both)


def test_thermal_camera_at_ten_times_the_rate(rig, partner):
    node, both = rig()

    def send():
        for i in range(1, 10):
            both.publishers['thermal'].publish(both.image(
                'thermal', both.stamp_ns + i * both.PERIOD_NS // 10))
        both.send()
        return len(partner.received['status']) > 20 and counted(partner, 'thermal.surplus')
    partner.wait(send, '20 results and counted thermal images')
    assert not [name for name in node.counters.snapshot() if name.endswith('.defect')]
    fused_again(partner, both)


def test_a_defect_in_the_pipeline_is_counted_and_the_node_goes_on(rig, partner, monkeypatch):
    node, both = rig()

    def fail(pair):
        raise RuntimeError('boom')
    with monkeypatch.context() as patch:
        patch.setattr(node._worker, '_handle', fail)
        both.keep_sending(lambda: node.counters.snapshot().get('pair.defect'), 'a counted defect')
    fused_again(partner, both)
    assert counted(partner, 'pair.defect')
