# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Start the node that does everything in one process, without launch.

What this command does not know goes to ROS, so remappings are written as with `ros2 run`:

  ivif up -r rgb/image_raw:=/front/image_raw -r thermal/image_raw:=/lwir/image_raw
  ivif up --params robot.yaml --set fusion.device=cuda -r __ns:=/robot
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ivif_ros.cli.options import OPTION_PARAMETERS, add_fusion_options, add_parameter_options
from ivif_ros.cli.ros import ROS_ARGS, node_module, ros_words
from ivif_ros.errors import ParameterError
from ivif_ros.parameters import Parameters, specs
from ivif_ros.parameters.node import NodeParameters
from ivif_ros.parameters.yaml_file import parse_setting

PASSES_REST = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_fusion_options(parser)
    parser.add_argument('--calibration', metavar='FILE', help='calibration of the rig (YAML)')
    add_parameter_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the node until it is shut down.

    Raises:
        MissingDependencyError: there is no ROS 2 for this Python.
    """
    words = ros_arguments(args)
    return node_module('ivif_node', 'up').main(words) or 0


def ros_arguments(args: argparse.Namespace) -> list[str]:
    """Write the options as ROS arguments, followed by what is not ours.

    Raises:
        ParameterError: no such parameter file, unknown name or impossible value.
    """
    words = [ROS_ARGS]
    if args.params:
        if not Path(args.params).is_file():
            raise ParameterError(f"parameter file '{args.params}' is not there")
        words += ['--params-file', args.params]
    settings = [*args.set]
    for option, name in OPTION_PARAMETERS.items():
        value = getattr(args, option)
        if value is not None:
            settings.append(f'{name}={value}')
    of_nodes = {spec.name for spec in specs(NodeParameters)}
    for text in settings:
        group = NodeParameters if text.partition('=')[0] in of_nodes else Parameters
        name, value = parse_setting(text, group)
        # ROS reads the value as YAML, of which JSON is a part; quotes keep texts texts.
        words += ['-p', f'{name}:={json.dumps(value)}']
    return words + ros_words(args.rest)
