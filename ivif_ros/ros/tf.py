# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Extrinsics of the rig from TF, where tf2_ros and tf_transformations are installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from rclpy.time import Time

from ivif_ros.errors import CalibrationError, MissingDependencyError
from ivif_ros.types import Array


class TfExtrinsics:
    """Looks up where the thermal camera sits relative to the RGB camera.

    Args:
        node: node that listens to /tf and /tf_static.

    Raises:
        MissingDependencyError: tf2_ros or tf_transformations is not installed.
    """

    def __init__(self, node: Any) -> None:
        """Start to listen."""
        try:
            import tf2_ros
            import tf_transformations
        except ImportError as error:
            raise MissingDependencyError(
                f'registration.use_tf needs tf2_ros and tf_transformations ({error}); install '
                'ros-$ROS_DISTRO-tf2-ros-py and ros-$ROS_DISTRO-tf-transformations, or give the '
                'extrinsics in a calibration file') from error
        self._quaternion_matrix = tf_transformations.quaternion_matrix
        self._error = tf2_ros.TransformException
        self._latest = Time()  # time zero: the newest that there is
        self._buffer = tf2_ros.Buffer(node=node)
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)

    def lookup(self, rgb_frame: str, thermal_frame: str) -> Array:
        """Find the transform that takes points of the RGB frame into the thermal frame.

        Args:
            rgb_frame: optical frame of the RGB camera, as its images say.
            thermal_frame: optical frame of the thermal camera.

        Returns:
            (4, 4) float64, translation in metres.

        Raises:
            CalibrationError: an image has no frame_id, both have the same, or TF does not connect
                them.
        """
        if not rgb_frame or not thermal_frame or rgb_frame == thermal_frame:
            raise CalibrationError(
                f"images have frame_id '{rgb_frame}' (RGB) and '{thermal_frame}' (thermal), "
                'expected two different optical frames; set them in the camera drivers')
        try:
            found = self._buffer.lookup_transform(thermal_frame, rgb_frame, self._latest).transform
        except self._error as error:
            raise CalibrationError(
                f"TF does not connect '{rgb_frame}' with '{thermal_frame}' ({error}); publish the "
                'rig as a static transform') from error
        turn, shift = found.rotation, found.translation
        matrix = np.array(self._quaternion_matrix([turn.x, turn.y, turn.z, turn.w]), np.float64)
        matrix[:3, 3] = shift.x, shift.y, shift.z
        return matrix

    def close(self) -> None:
        """Stop to listen."""
        self._listener.unregister()
