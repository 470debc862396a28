# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters from files and from the command line."""

import argparse

import pytest

from ivif_ros.cli.options import add_fusion_options, add_parameter_options, parameters_from
from ivif_ros.cli.up import add_arguments, ros_arguments
from ivif_ros.errors import ParameterError
from ivif_ros.parameters import Parameters, to_dict
from ivif_ros.parameters.yaml_file import load_parameters, parse_setting

FILE = """
/**:
  ros__parameters:
    use_sim_time: true
    autostart: false
    sync:
      tolerance_ms: 5
      pairing: match
    detection.classes: [person, car]
    qos_overrides:
      /fused/image:
        publisher:
          depth: 3
/camera_driver:
  ros__parameters:
    exposure: 7
/robot/ivif_node:
  ros__parameters:
    sync: {pairing: hold}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'robot.yaml'
    path.write_text(FILE)
    return path


def parsed(*words):
    parser = argparse.ArgumentParser()
    add_parameter_options(parser)
    add_fusion_options(parser)
    return parser.parse_args(words)


def test_sections_of_the_node_count_and_those_of_others_do_not(file):
    assert load_parameters(file) == {
        'sync.tolerance_ms': 5.0, 'sync.pairing': 'hold', 'detection.classes': ['person', 'car']}
    assert isinstance(load_parameters(file)['sync.tolerance_ms'], float)


def test_nested_namespaces_are_node_names(tmp_path):
    path = tmp_path / 'nested.yaml'
    path.write_text('robot:\n  ivif_node:\n    ros__parameters:\n      fusion.method: pyramid\n')
    assert load_parameters(path) == {'fusion.method': 'pyramid'}
    with pytest.raises(ParameterError, match=r"sections for /robot/ivif_node.*'other_node'"):
        load_parameters(path, 'other_node')


def test_the_file_in_config_holds_the_defaults(request):
    path = request.config.rootpath / 'config' / 'fusion.yaml'
    assert load_parameters(path) == to_dict(Parameters())


@pytest.mark.parametrize(('content', 'expected'), [
    ('/**:\n  ros__parameters:\n    sync:\n      tolerence_ms: 5\n',
     r"robot.yaml.*unknown parameter 'sync.tolerence_ms'.*'sync.tolerance_ms'"),
    ('/**:\n  ros__parameters:\n    sync:\n      tolerance_ms: -5\n', 'expected 0 to 1000 ms'),
    ('/**:\n  ros__parameters:\n    fusion:\n      method: 3\n', 'expected str'),
    ('sync:\n  tolerance_ms: 5\n', "no 'ros__parameters'"),
    ('', "no 'ros__parameters'"),
    ('- 1\n- 2\n', "no 'ros__parameters'"),
    ('a: [1\n', 'is not YAML'),
    ('lidar:\n  ros__parameters:\n    rate: 5\n', 'sections for /lidar'),
])
def test_what_is_wrong_with_a_file_is_said(tmp_path, content, expected):
    path = tmp_path / 'robot.yaml'
    path.write_text(content)
    with pytest.raises(ParameterError, match=expected) as caught:
        load_parameters(path)
    assert '\n' not in str(caught.value)


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(ParameterError, match=r'gone\.yaml.*No such file'):
        load_parameters(tmp_path / 'gone.yaml')
    (tmp_path / 'binary.yaml').write_bytes(b'\xff\xfe\x80')
    with pytest.raises(ParameterError, match=r'binary\.yaml'):
        load_parameters(tmp_path / 'binary.yaml')


@pytest.mark.parametrize(('text', 'name', 'value'), [
    ('sync.tolerance_ms=5', 'sync.tolerance_ms', 5.0),
    ('sync.tolerance_ms=1e2', 'sync.tolerance_ms', 100.0),
    ('sync.queue_size=4', 'sync.queue_size', 4),
    ('thermal.invert=True', 'thermal.invert', True),
    ('detection.classes=person, car', 'detection.classes', ['person', 'car']),
    ('detection.weights=/models/a=b.pt', 'detection.weights', '/models/a=b.pt'),
    ('detection.weights=', 'detection.weights', ''),
])
def test_settings_are_read_in_the_type_of_the_parameter(text, name, value):
    found = parse_setting(text)
    assert found == (name, value)
    assert type(found[1]) is type(value)


@pytest.mark.parametrize(('text', 'expected'), [
    ('sync.tolerance_ms', 'no value'),
    ('sync.tolerance=5', "did you mean 'sync.tolerance_ms'"),
    ('sync.tolerance_ms=fast', 'expected float'),
    ('sync.queue_size=2.5', 'expected int'),
    ('thermal.invert=1', 'expected bool'),
    ('sync.tolerance_ms=nan', 'expected 0 to 1000'),
    ('sync.policy=greedy', 'expected one of'),
])
def test_impossible_settings_are_refused(text, expected):
    with pytest.raises(ParameterError, match=expected):
        parse_setting(text)


def test_options_go_before_settings_before_the_file(file):
    args = parsed('--params', str(file), '--set', 'sync.tolerance_ms=7', '--set',
                  'fusion.device=cpu', '--device', 'cuda:1')
    params = parameters_from(args, registration__mode='none')
    assert params.sync.tolerance_ms == 7.0
    assert params.sync.pairing == 'hold'
    assert params.detection.classes == ['person', 'car']
    assert params.fusion.device == 'cuda:1'
    assert params.registration.mode == 'none'
    assert params.fusion.method == Parameters().fusion.method


def test_up_writes_ros_arguments(file):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    args, rest = parser.parse_known_args(
        ['--params', str(file), '-r', 'rgb/image_raw:=/front', '--set', 'thermal.invert=true',
         '--set', 'autostart=false', '--method', 'pyramid', '--ros-args', '--log-level', 'debug'])
    args.rest = rest
    assert ros_arguments(args) == [
        '--ros-args', '--params-file', str(file), '-p', 'thermal.invert:=true',
        '-p', 'autostart:=false', '-p', 'fusion.method:="pyramid"', '-r', 'rgb/image_raw:=/front',
        '--ros-args', '--log-level', 'debug']


def test_up_checks_before_the_node_starts(tmp_path):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(['--params', str(tmp_path / 'gone.yaml')])
    args.rest = []
    with pytest.raises(ParameterError, match=r'gone\.yaml'):
        ros_arguments(args)
    args = parser.parse_args(['--set', 'autostrat=false'])
    args.rest = []
    with pytest.raises(ParameterError, match='autostrat'):
        ros_arguments(args)
