# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A simulated street with a thermal and an RGB camera, and the truth about both.

The world is a set of textured planes (2.5D): ground, facades, billboards for trees, lamps and
people, and vehicles built from a few quads. Every plane carries a picture in the visible and one in
degrees Celsius, so that both cameras see the same geometry, with real parallax, and every RGB pixel
has an exact partner.
"""

from ivif_ros.simulation.config import RigConfig
from ivif_ros.simulation.rig import SimulatedRig
from ivif_ros.simulation.scene import Scene
from ivif_ros.simulation.truth import TrueBoxes

__all__ = ['RigConfig', 'Scene', 'SimulatedRig', 'TrueBoxes']
