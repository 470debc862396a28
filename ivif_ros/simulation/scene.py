# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The world at one instant, in painter's order, for any camera."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ivif_ros.simulation.assets import paint_assets
from ivif_ros.simulation.camera import Pose
from ivif_ros.simulation.config import RigConfig
from ivif_ros.simulation.ground import HALF_WIDTH_M, TILE_M
from ivif_ros.simulation.groups import Glow, Group, back_to_front
from ivif_ros.simulation.lighting import Light
from ivif_ros.simulation.motion import EgoMotion
from ivif_ros.simulation.street import Street
from ivif_ros.simulation.surface import Surface
from ivif_ros.simulation.traffic import Traffic
from ivif_ros.types import Array

_BANDS_M = (0.6, 5.0, 9.0, 16.0, 30.0, 60.0, 150.0)
"""Depth limits of the strips that the ground is drawn in, each with its own texture version."""
_FAR_M = 110.0
_SHADOWS_M = 45.0


@dataclass(frozen=True, eq=False)
class Instant:
    """All that there is to draw at one time.

    Attributes:
        pose: of the colour camera.
        surfaces: in painter's order: first the scenery without shadows, then shadows and objects.
        scenery: number of surfaces that belong to the bare scenery.
        glows: lights, each with the number of surfaces that lie behind it.
        class_of: object id -> class.
    """

    pose: Pose
    surfaces: list[Surface]
    scenery: int
    glows: list[tuple[int, Glow]]
    class_of: dict[int, int]


class Scene:
    """A street with traffic, a function of time."""

    def __init__(self, config: RigConfig) -> None:
        """Paint the textures; takes about a second.

        Args:
            config: of the rig.
        """
        self.assets = paint_assets(config.seed, config.lighting)
        self.ego = EgoMotion(config)
        self._street = Street(self.assets, config.seed, config.traffic)
        self._traffic = Traffic(self.assets, config, self.ego)
        self._smoke = config.smoke
        self._last: tuple[float, Instant] | None = None
        self._seed = config.seed

    @property
    def light(self) -> Light:
        """Time of day."""
        return self.assets.light

    def at(self, t: float) -> Instant:
        """The world at time t in seconds."""
        # Both cameras and the truth often ask for the same time.
        if self._last is None or self._last[0] != t:
            self._last = t, self._build(t)
        return self._last[1]

    def _build(self, t: float) -> Instant:
        """Collect what is near the rig."""
        pose = self.ego.pose(t)
        viewer = pose.centre
        first = math.floor((viewer[2] - 10) / TILE_M)
        blocks = [
            self._street.block(k)
            for k in range(first, math.floor((viewer[2] + _FAR_M) / TILE_M) + 1)
        ]
        groups = [
            group
            for block in blocks
            for group in block.groups
            if viewer[2] - 6 < group.z < viewer[2] + _FAR_M
        ]
        groups += self._traffic.groups(t, viewer)
        if self._smoke:
            groups += self._clouds(t, viewer)
        groups = back_to_front(groups, viewer)
        surfaces = self._far(viewer)
        for block in reversed(blocks):
            surfaces.extend(block.walls)
        surfaces.extend(self._ground(viewer))
        for block in blocks:
            surfaces.extend(block.ground)
        scenery = len(surfaces)
        for group in groups:
            if group.z - viewer[2] < _SHADOWS_M:
                surfaces.extend(group.shadows)
        glows: list[tuple[int, Glow]] = []
        class_of: dict[int, int] = {}
        for group in groups:
            surfaces.extend(group.surfaces)
            glows.extend((len(surfaces), glow) for glow in group.glows)
            class_of.update(group.class_of)
        return Instant(pose, surfaces, scenery, glows, class_of)

    def _far(self, viewer: Array) -> list[Surface]:
        """Sky and skyline keep their distance from the rig."""
        sky = Surface(
            self.assets.sky,
            viewer + np.array([-2600.0, -1900.0, 2000.0]),
            np.array([5200.0, 0, 0]),
            np.array([0, 1960.0, 0]),
        )
        line = Surface(
            self.assets.skyline,
            np.array([viewer[0] - 120, -26.0, viewer[2] + 165]),
            np.array([240.0, 0, 0]),
            np.array([0, 26.5, 0]),
        )
        return [sky, line]

    def _ground(self, viewer: Array) -> list[Surface]:
        """Strips of the road around and ahead of the rig, farthest first."""
        out = []
        edges = [float(viewer[2]) + band for band in _BANDS_M]
        for low, high in reversed(list(pairwise(edges))):
            for tile in range(math.floor(high / TILE_M), math.floor(low / TILE_M) - 1, -1):
                # Row 0 of the texture lies at the far end of the tile.
                far = min(1.0, (high - tile * TILE_M) / TILE_M)
                near = max(0.0, (low - tile * TILE_M) / TILE_M)
                if far <= near:
                    continue
                polygon = np.array([[0, 1 - far], [1, 1 - far], [1, 1 - near], [0, 1 - near]])
                out.append(
                    Surface(
                        self.assets.ground,
                        np.array([-HALF_WIDTH_M, 0, (tile + 1) * TILE_M]),
                        np.array([2 * HALF_WIDTH_M, 0, 0]),
                        np.array([0, 0, -TILE_M]),
                        polygon,
                    )
                )
        return out

    def _clouds(self, t: float, viewer: Array) -> list[Group]:
        """Smoke that drifts across the street from the right, puff after puff."""
        out = []
        period, life = 1.2, 10.0
        for index in range(math.ceil((t - life) / period), math.floor(t / period) + 1):
            age = t - index * period
            turn = (index * 2654435761 + self._seed) % 1000 / 1000
            x = 6.0 - 1.1 * age + 1.5 * turn
            z = float(self.ego.distance(index * period)) + self._travel(age) + 9.0 + 12.0 * turn
            size = 2.2 + 0.75 * age
            surface = Surface(
                self.assets.smoke[index % 3],
                np.array([x - size * 0.75, 0.35 * size - size - 0.05 * age, z]),
                np.array([size * 1.5, 0, 0]),
                np.array([0, size, 0]),
                smoke=True,
            )
            out.append(Group(z, x, (surface,)))
        return out

    def _travel(self, age: float) -> float:
        """The plume follows the rig, so that it stays in view."""
        return 0.85 * age * max(0.0, self.ego.distance(1.0) - self.ego.distance(0.0))
