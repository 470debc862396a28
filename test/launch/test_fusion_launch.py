# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The launch file: what it starts for which arguments."""

import importlib.util
from pathlib import Path

import pytest
import yaml

pytest.importorskip('launch', reason='launch comes with a ROS 2 distribution')
pytest.importorskip('launch_ros', reason='launch_ros comes with a ROS 2 distribution')

from launch.actions import DeclareLaunchArgument
from launch.utilities import perform_substitutions
from launch_ros.utilities import evaluate_parameters, normalize_parameters

from launch import LaunchContext

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def launch_file():
    path = REPOSITORY / 'launch' / 'fusion.launch.py'
    spec = importlib.util.spec_from_file_location('fusion_launch', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def context(launch_file):
    """Context with the defaults of all arguments and some values given."""
    def make(**given):
        result = LaunchContext()
        result.launch_configurations.update(given)
        for entity in launch_file.generate_launch_description().entities:
            if isinstance(entity, DeclareLaunchArgument):
                entity.execute(result)
        return result
    return make


def executables(nodes):
    return [node.node_executable for node in nodes]


def parameters(launch_file, context, node):
    """Parameters of a node in the order in which they hold: files and dictionaries."""
    given = node._Node__parameters
    return [item if isinstance(item, dict) else yaml.safe_load(Path(item).read_text())
            for item in evaluate_parameters(context, normalize_parameters(given))]


def test_one_process_unless_split(launch_file, context):
    assert executables(launch_file.start_nodes(context())) == ['ivif_node']
    assert executables(launch_file.start_nodes(context(split='true'))) == [
        'registration_node', 'fusion_node', 'detection_node']


def test_arguments_that_are_left_empty_leave_the_parameter_file_in_force(launch_file, context):
    made = context()
    defaults, overrides = parameters(launch_file, made, launch_file.start_nodes(made)[0])
    assert defaults['/**']['ros__parameters']['fusion']['method']
    assert overrides == {'autostart': True, 'use_sim_time': False}


def test_arguments_become_parameters(launch_file, context):
    made = context(method='max', device='cpu', detector_weights='/w.pt', calibration='/c.yaml',
                   rgb_transport='compressed', autostart='false')
    _, overrides = parameters(launch_file, made, launch_file.start_nodes(made)[0])
    assert overrides == {
        'autostart': False, 'use_sim_time': False, 'fusion.method': 'max', 'fusion.device': 'cpu',
        'detection.weights': '/w.pt', 'registration.calibration': '/c.yaml',
        'rgb_transport': 'compressed'}


def test_topics_become_remappings(launch_file, context):
    made = context(rgb_image='/a/image', thermal_image='/b/image', thermal_camera_info='/c/info')
    rules = launch_file.start_nodes(made)[0]._Node__remappings
    assert [tuple(perform_substitutions(made, list(side)) for side in rule) for rule in rules] == [
        ('rgb/image_raw', '/a/image'), ('thermal/image_raw', '/b/image'),
        ('thermal/camera_info', '/c/info')]


def test_images_go_through_shared_memory_unless_the_user_knows_better(
        launch_file, context, monkeypatch):
    for name in ('RMW_IMPLEMENTATION', *launch_file.FAST_DDS_PROFILES):
        monkeypatch.delenv(name, raising=False)
    made = context()
    actions = launch_file.large_images(made)
    for action in actions:
        action.execute(made)
        assert Path(made.environment[perform_substitutions(made, action.name)]).is_file()
    assert len(actions) == 2
    assert launch_file.large_images(made) == []
    monkeypatch.setenv('RMW_IMPLEMENTATION', 'rmw_cyclonedds_cpp')
    for name in launch_file.FAST_DDS_PROFILES:
        monkeypatch.delenv(name, raising=False)
    assert launch_file.large_images(context()) == []


def test_a_bag_is_played_with_its_clock(launch_file, context):
    assert launch_file.play_bag(context()) == []
    made = context(bag='/data/drive')
    player = launch_file.play_bag(made)[0]
    assert [perform_substitutions(made, part) for part in player.cmd] == [
        'ros2', 'bag', 'play', '/data/drive', '--clock']
    _, overrides = parameters(launch_file, made, launch_file.start_nodes(made)[0])
    assert overrides['use_sim_time'] is True
