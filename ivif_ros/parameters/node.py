# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters that only the ROS nodes have, beside those of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from ivif_ros.parameters.spec import parameter

TRANSPORTS = ('raw', 'compressed')


@dataclass(frozen=True)
class NodeParameters:
    """How a node starts and how images reach it."""

    autostart: bool = parameter(
        True, 'Configure and activate at start; false leaves it to a lifecycle manager.')
    rgb_transport: str = parameter(
        'raw', 'raw: sensor_msgs/Image. compressed: sensor_msgs/CompressedImage on '
        '<topic>/compressed.', choices=TRANSPORTS)
    thermal_transport: str = parameter(
        'raw', 'As rgb_transport, for the thermal image.', choices=TRANSPORTS)
    calibration_output: str = parameter(
        'calibration.yaml', 'File that the service save_calibration writes.', runtime=True)
