# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What stands along the street: endless, the same for the same seed, built block by block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ivif_ros.simulation.assets import HEDGE_M, Assets
from ivif_ros.simulation.backdrop import LAMP_M, SIGN_M, TREE_M
from ivif_ros.simulation.ground import CROSSING_M, ROAD_M, TILE_M, lamp_light_at, lamp_places
from ivif_ros.simulation.groups import CAR, Glow, Group, billboard, on_ground, vehicle_surfaces
from ivif_ros.simulation.noise import generator
from ivif_ros.simulation.surface import Surface
from ivif_ros.types import Array

FACADE_M = 9.6
"""Distance of the facades from the centre line in metres."""


@dataclass(frozen=True, eq=False)
class Block:
    """One tile of the street.

    Attributes:
        walls: facades and end walls, farthest first.
        ground: road decals.
        groups: what stands before the facades.
    """

    walls: tuple[Surface, ...]
    ground: tuple[Surface, ...]
    groups: tuple[Group, ...]


def _bare_wall(side: int, x: float, height: float, before: tuple[float, float]) -> list[Array]:
    """Parts of the end wall of a house that the house before it leaves open.

    Args:
        side: -1 left, 1 right.
        x: facade of the house.
        height: of the house.
        before: facade and height of the house before it.

    Returns:
        Polygons (4, 2) on a wall that is 10 m wide and as high as the house.
    """
    next_x, next_height = before
    parts = []
    open_share = min(1.0, max(0.0, side * (next_x - x) / 10.0))
    low = min(1.0, max(0.0, 1 - next_height / height))
    if low > 0:
        parts.append(np.array([[0, 0], [1, 0], [1, low], [0, low]]))
    if open_share > 0 and low < 1:
        a, b = (0.0, open_share) if side > 0 else (1 - open_share, 1.0)
        parts.append(np.array([[a, low], [b, low], [b, 1], [a, 1]]))
    return parts


class Street:
    """The scenery, block by block."""

    def __init__(self, assets: Assets, seed: int, traffic: float) -> None:
        """Keep what blocks are made of.

        Args:
            assets: textures.
            seed: of the rig.
            traffic: density of parked vehicles.
        """
        self._assets, self._seed, self._traffic = assets, seed, traffic
        self.block = lru_cache(maxsize=12)(self._build)

    def _build(self, index: int) -> Block:
        """Build the block from z = index * TILE_M on."""
        rng = generator(self._seed, 21, index)
        start = index * TILE_M
        walls: list[tuple[float, Surface]] = []
        groups: list[Group] = []
        for side in (-1, 1):
            self._row_of_houses(index, side, walls, groups)
        for foot_x, foot_z in lamp_places():
            groups.append(self._lamp(foot_x, start + foot_z))
        for side in (-1, 1):
            for slot in range(5):
                z = start + slot * 9.6 + float(rng.uniform(0, 4)) + 1.0
                if rng.random() < 0.6:
                    groups.append(self._tree(rng, side, z))
            for _ in range(2):
                if rng.random() < 0.5:
                    groups.append(self._sign(rng, side, start + float(rng.uniform(0, TILE_M))))
            for bay in range(8):
                # Bays are painted every six metres, see ground.py.
                if rng.random() < 0.42 * self._traffic:
                    car = int(rng.integers(len(self._assets.parked)))
                    z = start + 1.0 + bay * 6.0 + float(rng.uniform(0.6, 1.1))
                    groups.append(
                        self._parked(car, side, z, 1_000_000 + index * 100 + side * 20 + bay)
                    )
        ground = []
        if rng.random() < 0.6:
            ground.append(
                on_ground(self._assets.crossing, 0.0, start + 24.0, *CROSSING_M, shade=False)
            )
        walls.sort(key=lambda pair: -pair[0])
        return Block(tuple(surface for _, surface in walls), tuple(ground), tuple(groups))

    def _row_of_houses(
        self, index: int, side: int, walls: list[tuple[float, Surface]], groups: list[Group]
    ) -> None:
        """Fill one side of a block with facades; gaps get a hedge."""
        rng = generator(self._seed, 22, index, side)
        assets = self._assets
        z, end = index * TILE_M, (index + 1) * TILE_M
        x_open = side * (FACADE_M + 10.0)
        before = (x_open, 0.0)
        while z < end - 6:
            if rng.random() < 0.2:
                gap = float(rng.uniform(4, 7))
                hedge = assets.hedges[int(rng.integers(2))]
                place = z + gap / 2
                groups.append(
                    Group(
                        place,
                        side * 9.0,
                        (billboard(hedge, side * (FACADE_M + 1.5), place, HEDGE_M),),
                    )
                )
                z += gap
                before = (x_open, 0.0)
                continue
            house = assets.buildings[int(rng.integers(len(assets.buildings)))]
            length = min(house.length_m, end - z)
            share = length / house.length_m
            setback = float(rng.choice([0.0, 0.0, 0.4, 1.2]))
            x = side * (FACADE_M + setback)
            edge = np.array([0, 0, house.length_m])
            # Columns of the texture run along the street on the right side, against it on the left.
            polygon = np.array([[0, 0], [share, 0], [share, 1], [0, 1]])
            near = z + length if side > 0 else z
            # The sun shines on the houses opposite to it; the others and the ends lie in the shade.
            sunny = 0.5 if assets.sun_side == 0 else float(assets.sun_side == -side)
            walls.append(
                (
                    z + 0.5,
                    Surface(
                        house.front,
                        np.array([x, -house.height_m, near]),
                        -side * edge,
                        np.array([0, house.height_m, 0]),
                        polygon,
                        assets.wall_gain(sunny),
                        assets.light.sun_k * 0.8 * sunny,
                    ),
                )
            )
            walls.extend(
                (
                    z,
                    Surface(
                        house.end,
                        np.array([x if side > 0 else x - 10.0, -house.height_m, z]),
                        np.array([10.0, 0, 0]),
                        np.array([0, house.height_m, 0]),
                        part,
                        assets.wall_gain(0.5 if assets.sun_side == 0 else 0.0),
                    ),
                )
                for part in _bare_wall(side, x, house.height_m, before)
            )
            before = (x, house.height_m)
            z += length

    def _light_at(self, x: float, z: float) -> float:
        """Share of lamp light on something upright at a place."""
        return 0.6 * lamp_light_at(x, z)

    def _lamp(self, x: float, z: float) -> Group:
        """Street lamp with its arm over the road."""
        left = x < 0
        surface = billboard(
            self._assets.lamp, x, z, LAMP_M, mirror=not left, anchor=0.2 / LAMP_M[0]
        )
        glows: tuple[Glow, ...] = ()
        light = self._assets.light
        if light.lights_on:
            peak = max(light.lamp)
            tone = tuple(float(c / peak) for c in light.lamp)
            glows = (
                Glow((x + (1.5 if left else -1.5), -6.65, z), (tone[0], tone[1], tone[2]), 1.0),
            )
        return Group(z, x, (surface,), glows=glows)

    def _tree(self, rng: np.random.Generator, side: int, z: float) -> Group:
        """Tree on the pavement."""
        assets = self._assets
        x = side * (ROAD_M + 1.3 + float(rng.uniform(0, 0.8)))
        size = float(rng.uniform(0.75, 1.1))
        surface = billboard(
            assets.trees[int(rng.integers(len(assets.trees)))],
            x,
            z,
            (TREE_M[0] * size, TREE_M[1] * size),
            mirror=bool(rng.random() < 0.5),
        )
        return Group(z, x, (surface,), (on_ground(assets.shadow, x, z, 2.2, 1.6),))

    def _sign(self, rng: np.random.Generator, side: int, z: float) -> Group:
        """Traffic sign at the kerb."""
        assets = self._assets
        x = side * (ROAD_M + 0.4)
        return Group(
            z, x, (billboard(assets.signs[int(rng.integers(len(assets.signs)))], x, z, SIGN_M),)
        )

    def _parked(self, car: int, side: int, z: float, object_id: int) -> Group:
        """Parked vehicle; on the left side it faces the rig."""
        assets = self._assets
        vehicle = assets.parked[car]
        x = side * (ROAD_M - 0.25 - vehicle.body.width / 2 - 0.1)
        gain = assets.gain(self._light_at(x, z) + 0.05, 0.1, assets.sun_at(x, z))
        # Culling needs the lane only: the rig passes between the two rows.
        viewer = np.array([1.75, -1.5, z - 8.0])
        surfaces = vehicle_surfaces(vehicle, x, z, side < 0, viewer, gain, object_id)
        shadow = on_ground(
            assets.cold_shadow,
            x,
            z + vehicle.body.length / 2,
            vehicle.body.width + 0.5,
            vehicle.body.length + 0.6,
        )
        return Group(
            z,
            x,
            surfaces,
            (shadow,),
            (),
            ((object_id, CAR),),
            vehicle.body.length,
            vehicle.body.width,
        )
