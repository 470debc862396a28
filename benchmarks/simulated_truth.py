# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks ask the simulator beside the images."""

from __future__ import annotations

import numpy as np

from ivif_ros.simulation import SimulatedRig
from ivif_ros.simulation.camera import Lens
from ivif_ros.simulation.truth import visible_layers
from ivif_ros.types import Array

UNSEEN_SEED = 200_000
"""Streets from this seed on are those that no training renders."""
NEAREST_M = 5.0
"""Objects that are nearer do not count."""


def objects(rig: SimulatedRig, t: float) -> Array:
    """Pixels of the RGB image that show people, bicycles and vehicles.

    Args:
        rig: the rig.
        t: seconds since its start.

    Returns:
        (H, W) bool; parts nearer than NEAREST_M are left out.
    """
    instant = rig.scene.at(t)
    layers = visible_layers(instant, Lens(rig.rgb_camera), instant.pose)
    owner = np.array([placed.surface.object_id for placed in layers.placed] + [0], np.int64)
    shown = np.isin(owner[layers.index], list(instant.class_of))
    return np.asarray(shown & (rig.true_depth(t) >= NEAREST_M))
