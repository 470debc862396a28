# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""States, start values, changes at run time, services, and the end of the process."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParametersAtomically
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from ivif_ros.msg import Status
from ivif_ros.nodes.base import run
from ivif_ros.nodes.ivif_node import IvifNode
from ivif_ros.registration import Calibration, load_calibration
from ivif_ros.types import CameraModel

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def state(partner):
    return partner.call(GetState, 'ivif_node/get_state', GetState.Request()).current_state.id


def change(partner, transition):
    request = ChangeState.Request()
    request.transition.id = transition
    return partner.call(ChangeState, 'ivif_node/change_state', request).success


def set_parameters(partner, **values):
    kinds = {bool: (1, 'bool_value'), int: (2, 'integer_value'), float: (3, 'double_value'),
             str: (4, 'string_value')}
    request = SetParametersAtomically.Request()
    for name, value in values.items():
        kind, field = kinds[type(value)]
        request.parameters.append(Parameter(
            name=name.replace('__', '.'), value=ParameterValue(type=kind, **{field: value})))
    return partner.call(SetParametersAtomically, 'ivif_node/set_parameters_atomically',
                        request).result


def listen(partner, cameras, node):
    partner.subscribe(Status, 'status')
    partner.subscribe(Image, 'fused/image')
    both = cameras(node)
    both.wait()
    return both


def test_a_lifecycle_manager_can_take_it_through_all_states(start, partner, cameras):
    node = start(IvifNode, {'autostart': False})
    assert state(partner) == State.PRIMARY_STATE_UNCONFIGURED
    assert change(partner, Transition.TRANSITION_CONFIGURE)
    assert state(partner) == State.PRIMARY_STATE_INACTIVE
    for _ in range(2):
        assert change(partner, Transition.TRANSITION_ACTIVATE)
        both = listen(partner, cameras, node)
        both.keep_sending(lambda: partner.received['fused/image'], 'a fused image')
        assert change(partner, Transition.TRANSITION_DEACTIVATE)
        assert node.engine is None, 'memory of the device is freed'
        partner.wait(lambda publishers=both.publishers: not any(
            p.get_subscription_count() for p in publishers.values()), 'silence')
    assert change(partner, Transition.TRANSITION_CLEANUP)
    assert state(partner) == State.PRIMARY_STATE_UNCONFIGURED
    assert change(partner, Transition.TRANSITION_CONFIGURE)
    assert change(partner, Transition.TRANSITION_ACTIVATE)
    assert change(partner, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert state(partner) == State.PRIMARY_STATE_FINALIZED


def test_a_transition_that_is_not_possible_is_refused(start, partner):
    start(IvifNode)
    assert not change(partner, Transition.TRANSITION_CONFIGURE)
    assert state(partner) == State.PRIMARY_STATE_ACTIVE


def test_autostart_makes_it_active(start, partner):
    start(IvifNode)
    assert state(partner) == State.PRIMARY_STATE_ACTIVE


@pytest.mark.parametrize(('parameters', 'part'), [
    ({'registration.calibration': '/no/such/file.yaml'}, '/no/such/file.yaml'),
    ({'fusion.method': 'alchemy'}, 'alchemy'),
    ({'fusion.device': 'abacus'}, 'abacus'),
    ({'sync.tolerance_ms': -5.0}, 'sync.tolerance_ms'),
    ({'sync.pairing': 'sometimes'}, 'sync.pairing'),
    ({'rgb_transport': 'pigeon'}, 'rgb_transport'),
])
def test_what_cannot_work_is_one_error_line_and_the_node_stays_unconfigured(
        start, partner, capfd, parameters, part):
    start(IvifNode, parameters)
    assert state(partner) == State.PRIMARY_STATE_UNCONFIGURED
    errors = [line for line in capfd.readouterr().err.splitlines() if '[ERROR]' in line]
    assert len(errors) == 1
    assert 'cannot configure' in errors[0]
    assert part in errors[0]


def test_a_mended_start_value_lets_it_configure(start, partner):
    start(IvifNode, {'sync.pairing': 'sometimes'})
    assert state(partner) == State.PRIMARY_STATE_UNCONFIGURED
    assert set_parameters(partner, sync__pairing='match').successful
    assert change(partner, Transition.TRANSITION_CONFIGURE)


def test_a_misspelt_parameter_is_warned_of(start, partner, capfd):
    start(IvifNode, {'fusion.methd': 'pyramid'})
    assert state(partner) == State.PRIMARY_STATE_ACTIVE
    warnings = [line for line in capfd.readouterr().err.splitlines() if 'fusion.methd' in line]
    assert len(warnings) == 1
    assert 'fusion.method' in warnings[0]


def test_message_filters_is_asked_for_only_where_wanted(start, partner, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, 'message_filters', None)
    start(IvifNode, {'sync.policy': 'message_filters'})
    assert state(partner) == State.PRIMARY_STATE_INACTIVE
    assert 'message_filters' in capfd.readouterr().err


def test_a_change_takes_effect_while_the_node_runs(start, partner, cameras):
    node = start(IvifNode, {'sync.pairing': 'match'})
    both = listen(partner, cameras, node)
    skew_ns = 60_000_000
    both.keep_sending(lambda: any(
        item.mode != Status.FUSED for item in partner.received['status']), 'a partial pair',
        skew_ns=skew_ns, rgb=True)
    assert set_parameters(partner, sync__thermal_offset_ms=-60.0,
                          registration__mode='none').successful
    both.keep_sending(
        lambda: next((item for item in partner.received['status'][::-1]
                      if item.mode == Status.FUSED and abs(item.skew) < 1e-3), None),
        'a fused pair without skew', skew_ns=skew_ns)
    assert node.pipeline.params.registration.mode == 'none'


@pytest.mark.parametrize(('values', 'part'), [
    ({'fusion__method': 'alchemy'}, 'alchemy'),
    ({'sync__pairing': 'match', 'thermal__normalisation': 'magic'}, 'thermal.normalisation'),
    ({'fusion__device': 'cpu'}, 'read-only'),
])
def test_an_impossible_change_is_refused_as_a_whole(start, partner, cameras, values, part):
    node = start(IvifNode)
    before = node.params
    result = set_parameters(partner, **values)
    assert not result.successful
    assert part in result.reason
    assert node.params == before
    assert node.pipeline.params == before
    both = listen(partner, cameras, node)
    both.keep_sending(lambda: partner.received['fused/image'], 'a fused image')


def test_recalibrate_answers(start, partner):
    start(IvifNode)
    assert partner.call(Trigger, 'ivif_node/recalibrate', Trigger.Request()).success


def test_save_calibration_says_why_it_cannot(start, partner, tmp_path):
    start(IvifNode, {'calibration_output': str(tmp_path / 'rig.yaml')})
    answer = partner.call(Trigger, 'ivif_node/save_calibration', Trigger.Request())
    assert not answer.success
    assert answer.message
    assert not (tmp_path / 'rig.yaml').exists()


def test_save_calibration_writes_what_is_known(start, partner, tmp_path, monkeypatch):
    path = tmp_path / 'rig.yaml'
    node = start(IvifNode, {'calibration_output': str(path)})
    camera = CameraModel(64, 48, np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]]))
    monkeypatch.setattr(node.pipeline, 'estimated_calibration',
                        lambda: Calibration(camera, camera, np.eye(4)))
    answer = partner.call(Trigger, 'ivif_node/save_calibration', Trigger.Request())
    assert answer.success, answer.message
    assert str(path) in answer.message
    saved = load_calibration(path)
    assert saved.rgb.matrix[0, 0] == 60.0
    assert set_parameters(partner, calibration_output='/proc/no/rig.yaml').successful
    answer = partner.call(Trigger, 'ivif_node/save_calibration', Trigger.Request())
    assert not answer.success
    assert '/proc/no/rig.yaml' in answer.message


def test_services_of_a_node_that_is_not_active_say_so(start, partner):
    start(IvifNode)
    assert change(partner, Transition.TRANSITION_DEACTIVATE)
    answer = partner.call(Trigger, 'ivif_node/recalibrate', Trigger.Request())
    assert not answer.success
    assert 'active' in answer.message


def test_processes_end_cleanly_when_told(partner, tmp_path):
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(
        [REPOSITORY, os.environ.get('PYTHONPATH', '')])}
    nodes = {'ivif_node': signal.SIGINT, 'registration_node': signal.SIGTERM,
             'fusion_node': signal.SIGINT, 'detection_node': signal.SIGTERM}
    processes = {}
    try:
        for name in nodes:
            with (tmp_path / name).open('w') as log:
                processes[name] = subprocess.Popen(
                    [sys.executable, '-m', f'ivif_ros.nodes.{name}', '--ros-args', '-r',
                     f'__node:=ended_{name}'], stdout=log, stderr=log, env=environment)
        for name, number in nodes.items():
            log, process = tmp_path / name, processes[name]
            client = partner.node.create_client(GetState, f'ended_{name}/get_state')
            partner.wait(lambda client=client, process=process: client.service_is_ready()
                         or process.poll() is not None, f'{name} to be up', 60.0)
            assert process.poll() is None, log.read_text()
            future = client.call_async(GetState.Request())
            partner.wait(future.done, f'an answer of {name}', 60.0)
            assert future.result().current_state.id == State.PRIMARY_STATE_ACTIVE
            process.send_signal(number)
            assert process.wait(20) == 0, log.read_text()
            assert 'Traceback' not in log.read_text()
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


@pytest.mark.parametrize('words', [['foo'], ['-r', 'x'], ['--params-file', '/nowhere.yaml']])
def test_wrong_ros_arguments_are_one_message(words, capfd):
    assert run(lambda: None, ['--ros-args', *words]) == 2
    assert 'the ROS arguments are wrong' in capfd.readouterr().err
