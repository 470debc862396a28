# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the rig is at any time: smooth functions, so that each camera can expose when it wants."""

from __future__ import annotations

import math

import numpy as np

from ivif_ros.simulation.camera import Pose, rotation
from ivif_ros.simulation.config import RigConfig
from ivif_ros.simulation.noise import generator

LANE_M = 1.75
"""Distance of the middle of the rig's lane from the centre line; traffic keeps to the right."""


class EgoMotion:
    """Drive along the street with the sway of a driver and the pitch of a suspension."""

    def __init__(self, config: RigConfig) -> None:
        """Draw the phases of the small motions.

        Args:
            config: speed, camera height and seed.
        """
        self._speed, self._height = config.ego_speed_mps, config.camera_height_m
        rng = generator(config.seed, 11)
        self._start = float(rng.uniform(0, 40))
        self._phase = rng.uniform(0, 2 * math.pi, 8)
        # A rig that stands still stands on its tripod.
        self._liveliness = min(1.0, self._speed / 2.0)

    def distance(self, t: float) -> float:
        """World z of the rig in metres at time t in seconds."""
        surge = 0.35 * self._speed / 0.5 * math.sin(0.5 * t + self._phase[0])
        return self._start + self._speed * t + surge

    def pose(self, t: float) -> Pose:
        """Pose of the colour camera at time t in seconds."""
        p, lively = self._phase, self._liveliness
        sway = 0.22 * math.sin(0.55 * t + p[1]) + 0.07 * math.sin(1.7 * t + p[2])
        yaw = 0.9 * math.sin(0.42 * t + p[3]) + 0.25 * math.sin(1.9 * t + p[4])
        pitch = 0.16 * math.sin(7.1 * t + p[5]) + 0.1 * math.sin(3.3 * t + p[6])
        roll = 0.25 * math.sin(1.3 * t + p[7])
        bounce = 0.012 * math.sin(7.1 * t + p[5] + 1.0)
        centre = np.array(
            [LANE_M + lively * sway, -self._height + lively * bounce, self.distance(t)]
        )
        turn = rotation((1.2 + lively * pitch, lively * yaw, lively * roll))
        return Pose(turn.T, centre)
