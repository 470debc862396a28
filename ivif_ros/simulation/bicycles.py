# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Bicycles and their riders as silhouettes."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ivif_ros.simulation.figure import PX_PER_M, Figure, Point
from ivif_ros.simulation.lighting import Light
from ivif_ros.simulation.noise import Rng
from ivif_ros.simulation.people import Look
from ivif_ros.simulation.surface import Texture

BICYCLE_M = (2.0, 1.96)
"""Width and height of the billboard of a bicycle, side view."""
BICYCLE_REAR_M = (0.8, 1.96)
"""Width and height of the billboard of a bicycle seen from behind or from the front."""


def bicycle_textures(
    rng: Rng, light: Light, look: Look, phase: float, side: bool
) -> tuple[Texture, Texture]:
    """Bicycle and rider as two pictures of the same size.

    Args:
        rng: random numbers.
        light: time of day.
        look: clothes of the rider.
        phase: 0..1, of the pedals.
        side: seen from the side (rides to the right), else from behind.
    """
    size = BICYCLE_M if side else BICYCLE_REAR_M
    bike, rider = Figure(rng, size), Figure(rng, size)
    tyre, frame = np.full(3, 0.03, np.float32), np.asarray(rng.uniform(0.05, 0.5, 3), np.float32)
    air, cloth = light.air_c, light.cloth_c + look.warm_k
    turn = 2 * math.pi * phase
    if side:
        for x in (-0.52, 0.52):
            ring = np.zeros(bike.size[::-1], np.uint8)
            cv2.circle(
                ring, bike.pixel((x, 0.34)), int(0.33 * PX_PER_M * 16), 255, 4, cv2.LINE_AA, 4
            )
            bike.part(ring, tyre, air + 2.5)
            spokes = np.zeros_like(ring)
            for k in range(9):
                a = turn * 1.5 + k * math.pi / 4.5
                cv2.line(
                    spokes,
                    bike.pixel((x, 0.34)),
                    bike.pixel((x + 0.31 * math.cos(a), 0.34 + 0.31 * math.sin(a))),
                    70,
                    1,
                    cv2.LINE_AA,
                    4,
                )
            bike.part(spokes, frame, air)
        for start, end in (
            ((-0.52, 0.34), (-0.12, 0.32)),
            ((-0.12, 0.32), (-0.24, 0.86)),
            ((-0.12, 0.32), (0.36, 0.82)),
            ((-0.21, 0.76), (0.35, 0.88)),
            ((-0.52, 0.34), (-0.22, 0.76)),
            ((0.34, 1.0), (0.52, 0.34)),
        ):
            bike.limb([start, end], [0.035, 0.035], frame, air - 0.5)
        bike.limb([(-0.34, 0.93), (-0.14, 0.92)], [0.07, 0.05], tyre, air + 6)
        bike.limb([(0.34, 1.0), (0.42, 1.05)], [0.03, 0.03], frame, air)
        for sign in (1, -1):
            foot = (-0.12 + 0.16 * math.cos(turn) * sign, 0.36 + 0.16 * math.sin(turn) * sign)
            knee = (0.5 * (foot[0] - 0.22) + 0.24, 0.5 * (foot[1] + 0.95) + 0.10)
            rider.limb(
                [(-0.24, 0.97), knee, foot],
                [0.19, 0.14, 0.095],
                look.legs * (0.8 + 0.2 * (sign < 0)),
                cloth + 0.5,
            )
            rider.limb(
                [foot, (foot[0] + 0.14, foot[1] - 0.02)], [0.08, 0.06], look.shoes, cloth - 3
            )
        rider.limb([(-0.24, 1.0), (-0.12, 1.25), (0.04, 1.46)], [0.24, 0.25, 0.18], look.top, cloth)
        rider.limb(
            [(0.04, 1.44), (0.18, 1.2), (0.40, 1.08)], [0.12, 0.1, 0.07], look.top, cloth + 0.5
        )
        _rider_head(rider, light, look, (0.12, 1.64))
    else:
        bike.limb([(0.0, 0.03), (0.0, 0.66)], [0.045, 0.045], tyre, air + 2.5)
        bike.limb([(0.0, 0.66), (0.0, 0.95)], [0.04, 0.06], frame, air)
        bike.limb([(-0.1, 0.95), (0.1, 0.95)], [0.06, 0.06], tyre, air + 5)
        bike.limb([(-0.27, 1.06), (0.27, 1.06)], [0.035, 0.035], frame * 0.5, air)
        for sign in (1, -1):
            foot = (0.12 * sign, 0.36 + 0.16 * math.sin(turn) * sign)
            rider.limb(
                [(0.1 * sign, 0.97), (0.14 * sign, 0.70 + 0.08 * math.sin(turn) * sign), foot],
                [0.19, 0.14, 0.1],
                look.legs,
                cloth + 0.5,
            )
            rider.limb([foot, (foot[0], foot[1] - 0.03)], [0.09, 0.09], look.shoes, cloth - 3)
        rider.limb([(0.0, 1.0), (0.0, 1.42)], [0.34, 0.33], look.top, cloth)
        for sign in (1, -1):
            rider.limb(
                [(0.18 * sign, 1.42), (0.29 * sign, 1.25), (0.25 * sign, 1.08)],
                [0.12, 0.1, 0.08],
                look.top,
                cloth + 0.5,
            )
        _rider_head(rider, light, look, (0.0, 1.66))
    return bike.texture(), rider.texture()


def _rider_head(rider: Figure, light: Light, look: Look, centre: Point) -> None:
    """Neck, face and helmet of a rider."""
    x, y = centre
    rider.limb([(x - 0.05, y - 0.17), (x, y - 0.06)], [0.12, 0.11], look.skin * 0.8, light.skin_c)
    rider.limb([(x + 0.02, y - 0.04), (x + 0.01, y + 0.02)], [0.15, 0.17], look.skin, light.skin_c)
    rider.limb(
        [(x - 0.05, y + 0.05), (x + 0.04, y + 0.07)],
        [0.13, 0.13],
        look.shoes if look.hood else look.hair,
        light.skin_c - 6,
    )
