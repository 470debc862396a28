# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Two camera topics in, one fused stream out: starts the fusion in one process or in several.

Example: ros2 launch ivif_ros fusion.launch.py rgb_image:=/front/image_raw
thermal_image:=/lwir/image_raw detector_weights:=/opt/models/people.pt rviz:=true
"""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

SHARE = Path(__file__).resolve().parents[1]
BOOLEAN = ['true', 'false']

# name, default, description, choices
ARGUMENTS = (
    ('rgb_image', 'rgb/image_raw', 'Topic of the RGB image.', None),
    ('rgb_camera_info', '', 'Its camera_info; empty: the sibling of the image topic.', None),
    ('rgb_transport', '', 'raw or compressed; empty: as the parameters say.',
     ['', 'raw', 'compressed']),
    ('thermal_image', 'thermal/image_raw', 'Topic of the thermal image.', None),
    ('thermal_camera_info', '', 'Its camera_info; empty: the sibling of the image topic.', None),
    ('thermal_transport', '', 'raw or compressed; empty: as the parameters say.',
     ['', 'raw', 'compressed']),
    ('params_file', str(SHARE / 'config' / 'fusion.yaml'), 'Parameters of the nodes (YAML).', None),
    ('namespace', '', 'Namespace of the nodes and of the topics that they publish.', None),
    ('method', '', 'Fusion method; empty: as the parameters say.', None),
    ('device', '', 'auto, cpu, cuda or cuda:N; empty: as the parameters say.', None),
    ('detector_weights', '', 'Model of the detector; empty: as the parameters say.', None),
    ('calibration', '', 'Calibration file; empty: as the parameters say.', None),
    ('split', 'false', 'true: registration, fusion and detection as processes of their own.',
     BOOLEAN),
    ('autostart', 'true', 'false: a lifecycle manager configures and activates the nodes.',
     BOOLEAN),
    ('use_sim_time', 'false', 'Take the time from /clock; a bag needs it.', BOOLEAN),
    ('use_respawn', 'false', 'Start a node again when its process ends.', BOOLEAN),
    ('log_level', 'info', 'Least severity of the log lines.',
     ['debug', 'info', 'warn', 'error', 'fatal']),
    ('rviz', 'false', 'Show the images in RViz.', BOOLEAN),
    ('bag', '', 'Recording to play (ros2 bag play --clock); turns use_sim_time on.', None),
)
# launch argument -> parameter
OVERRIDES = {
    'method': 'fusion.method', 'device': 'fusion.device', 'detector_weights': 'detection.weights',
    'calibration': 'registration.calibration', 'rgb_transport': 'rgb_transport',
    'thermal_transport': 'thermal_transport'}
FAST_DDS = 'rmw_fastrtps_cpp'
# The second name holds up to Jazzy.
FAST_DDS_PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
COMPOSED = ('ivif_node',)
SPLIT = ('registration_node', 'fusion_node', 'detection_node')


def large_images(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Let Fast DDS pass whole images through shared memory, unless the user has profiles."""
    environment = context.environment
    ours = environment.get('RMW_IMPLEMENTATION', FAST_DDS) == FAST_DDS
    if not ours or any(environment.get(name) for name in FAST_DDS_PROFILES):
        return []
    path = str(SHARE / 'config' / 'fastdds.xml')
    return [SetEnvironmentVariable(name, path) for name in FAST_DDS_PROFILES]


def start_nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Make the nodes once the values of all arguments are known."""
    value = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    parameters = {parameter: value[name] for name, parameter in OVERRIDES.items() if value[name]}
    parameters['autostart'] = value['autostart'] == 'true'
    parameters['use_sim_time'] = value['use_sim_time'] == 'true' or bool(value['bag'])
    remappings = []
    for sensor in ('rgb', 'thermal'):
        image, info = value[f'{sensor}_image'], value[f'{sensor}_camera_info']
        if image != f'{sensor}/image_raw':
            remappings.append((f'{sensor}/image_raw', image))
        if info:
            remappings.append((f'{sensor}/camera_info', info))
    respawn = value['use_respawn'] == 'true'
    return [
        Node(
            package='ivif_ros', executable=executable, namespace=value['namespace'],
            parameters=[value['params_file'], parameters], remappings=remappings,
            arguments=['--ros-args', '--log-level', f"{executable}:={value['log_level']}"],
            respawn=respawn, respawn_delay=2.0, output='screen', emulate_tty=True)
        for executable in (SPLIT if value['split'] == 'true' else COMPOSED)]


def play_bag(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Play the recording, if one is named."""
    bag = LaunchConfiguration('bag').perform(context)
    if not bag:
        return []
    return [ExecuteProcess(cmd=['ros2', 'bag', 'play', bag, '--clock'], output='screen')]


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and what is made of them."""
    return LaunchDescription([
        *(DeclareLaunchArgument(
            name, default_value=default, description=description, choices=choices)
          for name, default, description, choices in ARGUMENTS),
        OpaqueFunction(function=large_images),
        OpaqueFunction(function=start_nodes),
        Node(
            package='rviz2', executable='rviz2', namespace=LaunchConfiguration('namespace'),
            arguments=['-d', str(SHARE / 'rviz' / 'fusion.rviz')], output='screen',
            condition=IfCondition(LaunchConfiguration('rviz'))),
        OpaqueFunction(function=play_bag),
    ])
