# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Everything that is painted once for a rig and used again along an endless street."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ivif_ros.simulation.backdrop import (
    hedge_texture,
    lamp_texture,
    shadow_texture,
    sign_texture,
    sky_texture,
    skyline_texture,
    smoke_texture,
    tree_texture,
)
from ivif_ros.simulation.bicycles import bicycle_textures
from ivif_ros.simulation.buildings import make_building
from ivif_ros.simulation.coachwork import BODIES, PAINTS
from ivif_ros.simulation.config import Lighting
from ivif_ros.simulation.ground import crossing_texture, ground_texture, sunlight
from ivif_ros.simulation.lighting import weather
from ivif_ros.simulation.noise import generator
from ivif_ros.simulation.people import PHASES, make_look, walker_texture
from ivif_ros.simulation.surface import Texture
from ivif_ros.simulation.vehicles import make_vehicle

HEDGE_M = (5.0, 1.3)
"""Width and height of a hedge in metres."""
_PARKED = (0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 4)
_RUNNING = (1, 0, 2, 3, 1, 0, 4, 2)
"""Kinds of body (vehicles.BODIES); lorries are rare."""
LOOKS = 7
"""Different people per rig."""


def _step(phase: float) -> int:
    """Number of the picture nearest to a phase."""
    return round(phase * PHASES) % PHASES


class Assets:
    """Textures and models of one rig; people are painted when they are first asked for."""

    def __init__(self, seed: int, lighting: Lighting) -> None:
        """Paint the scenery.

        Args:
            seed: of the rig.
            lighting: time of day.
        """
        self._seed = seed
        light = self.light = weather(generator(seed, 18), lighting)
        self.sun_side = int(generator(seed, 10).integers(-1, 2)) if any(light.sun) else 0
        self.ground = ground_texture(generator(seed, 1), light, self.sun_side)
        self.crossing = crossing_texture(generator(seed, 2), light)
        self.sky = sky_texture(generator(seed, 3), light)
        self.skyline = skyline_texture(generator(seed, 4), light)
        self.buildings = [make_building(generator(seed, 5, k), light) for k in range(8)]
        self.trees = [tree_texture(generator(seed, 6, k), light) for k in range(5)]
        self.hedges = [hedge_texture(generator(seed, 7, k), light, *HEDGE_M) for k in range(2)]
        self.lamp = lamp_texture(light)
        self.signs = [sign_texture(generator(seed, 8, k), light) for k in range(4)]
        self.shadow = shadow_texture(-0.5, 2.0, 0.55)
        self.cold_shadow = shadow_texture(-1.2, 4.0, 0.9)
        self.warm_shadow = shadow_texture(2.5, 4.0, 0.9)
        self.smoke = [smoke_texture(generator(seed, 9, k), light) for k in range(3)]
        paints = generator(seed, 17).permutation(np.array(PAINTS, np.float32))
        self.parked = [
            make_vehicle(
                generator(seed, 12, k), light, BODIES[body], paints[k % len(PAINTS)], False
            )
            for k, body in enumerate(_PARKED)
        ]
        self.running = [
            make_vehicle(
                generator(seed, 13, k), light, BODIES[body], paints[(k + 5) % len(PAINTS)], True
            )
            for k, body in enumerate(_RUNNING)
        ]
        self.looks = [make_look(generator(seed, 14, k)) for k in range(LOOKS)]
        self._walkers: dict[tuple[int, int, str], Texture] = {}
        self._riders: dict[tuple[int, int, bool], tuple[Texture, Texture]] = {}

    def walker(self, look: int, phase: float, view: str) -> Texture:
        """Picture of a walking person.

        Args:
            look: number of the person, any integer.
            phase: of the walking cycle, any number; whole numbers are equal.
            view: `side` (to the right), `front` or `back`.
        """
        key = (look % LOOKS, _step(phase), view)
        if key not in self._walkers:
            self._walkers[key] = walker_texture(
                generator(self._seed, 15, key[0]),
                self.light,
                self.looks[key[0]],
                key[1] / PHASES,
                view,
            )
        return self._walkers[key]

    def rider(self, look: int, phase: float, side: bool) -> tuple[Texture, Texture]:
        """Pictures of a bicycle and its rider; arguments as for `walker`."""
        key = (look % LOOKS, _step(phase), side)
        if key not in self._riders:
            self._riders[key] = bicycle_textures(
                generator(self._seed, 16, key[0]),
                self.light,
                self.looks[key[0]],
                key[1] / PHASES,
                side,
            )
        return self._riders[key]

    def paint_people(self) -> None:
        """Paint all people at once (about a second), so that no later picture has to wait."""
        for look in range(LOOKS):
            for phase in range(PHASES):
                for view in ('front', 'back', 'side'):
                    self.walker(look, phase / PHASES, view)
                for side in (True, False):
                    self.rider(look, phase / PHASES, side)

    def sun_at(self, x: float, z: float) -> float:
        """Share of the sun on something that stands at a place."""
        if not any(self.light.sun):
            return 0.0
        return float(sunlight(np.array([x]), np.array([z]), self.sun_side)[0])

    def wall_gain(self, sun: float) -> tuple[float, float, float]:
        """Factor on facades, which are painted without sun.

        Args:
            sun: share of the sun that arrives.
        """
        lit = 1 + sun * np.array(self.light.sun) / np.array(self.light.ambient)
        return float(lit[0]), float(lit[1]), float(lit[2])

    def gain(self, lamp: float, headlight: float, sun: float) -> tuple[float, float, float]:
        """BGR light on an object.

        Args:
            lamp: share of the light below a street lamp that arrives, 0..1.
            headlight: share of the rig's headlight at 10 m that arrives.
            sun: share of the sun that arrives.

        Returns:
            Steps of 4 percent, so that lookup tables are used again.
        """
        light = (
            np.array(self.light.ambient)
            + lamp * np.array(self.light.lamp)
            + 0.8 * sun * np.array(self.light.sun)
            + headlight * np.array(self.light.headlight)
        )
        steps = np.exp2(np.round(np.log2(np.maximum(light, 1e-3)) * 16) / 16)
        return float(steps[0]), float(steps[1]), float(steps[2])


@lru_cache(maxsize=3)
def paint_assets(seed: int, lighting: Lighting) -> Assets:
    """Assets of a seed and a time of day; rigs that agree in both share them."""
    return Assets(seed, lighting)
