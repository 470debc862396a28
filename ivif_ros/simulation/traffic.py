# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Moving people, bicycles and vehicles as functions of time: streams of things along the street."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ivif_ros.simulation.assets import Assets
from ivif_ros.simulation.bicycles import BICYCLE_M, BICYCLE_REAR_M
from ivif_ros.simulation.config import RigConfig
from ivif_ros.simulation.ground import ROAD_M, lamp_light_at
from ivif_ros.simulation.groups import (
    BICYCLE,
    CAR,
    PERSON,
    Glow,
    Group,
    billboard,
    on_ground,
    vehicle_surfaces,
)
from ivif_ros.simulation.motion import LANE_M, EgoMotion
from ivif_ros.simulation.noise import generator
from ivif_ros.simulation.people import PERSON_M, STRIDE_M
from ivif_ros.simulation.vehicles import Vehicle
from ivif_ros.types import Array

RANGE_M = 95.0
"""Moving things farther ahead are not drawn."""


@dataclass(frozen=True)
class Stream:
    """Things that follow each other along the street at one speed.

    Attributes:
        number: tells streams apart, for the random numbers and object ids.
        x: metres from the centre line.
        speed: metres per second along z; negative comes towards the rig.
        gap: mean distance between two in metres.
        share: share of the places that are taken at normal traffic.
    """

    number: int
    x: float
    speed: float
    gap: float
    share: float


WALKERS = (
    Stream(1, ROAD_M + 2.6, 1.25, 11.0, 0.6),
    Stream(2, ROAD_M + 1.0, -1.35, 13.0, 0.6),
    Stream(3, -ROAD_M - 1.0, 1.4, 12.0, 0.5),
    Stream(4, -ROAD_M - 2.6, -1.2, 10.0, 0.6),
)
CYCLISTS = (Stream(5, 3.0, 4.2, 38.0, 0.5), Stream(6, -3.1, -4.6, 46.0, 0.5))
ONCOMING = Stream(7, -LANE_M, -8.0, 58.0, 0.65)


@lru_cache(maxsize=4096)
def _draw(seed: int, stream: int, index: int) -> tuple[float, ...]:
    """Eight numbers 0..1 of one member of a stream."""
    return tuple(float(v) for v in generator(seed, 31, stream, index).random(8))


class Traffic:
    """All that moves."""

    def __init__(self, assets: Assets, config: RigConfig, ego: EgoMotion) -> None:
        """Keep what is needed to place things at any time.

        Args:
            assets: pictures.
            config: seed, density and speed.
            ego: motion of the rig; the vehicle ahead and people who cross depend on it.
        """
        self._assets, self._ego = assets, ego
        self._seed, self._density, self._speed = config.seed, config.traffic, config.ego_speed_mps
        self._glare = config.glare

    def groups(self, t: float, viewer: Array) -> list[Group]:
        """Everything that moves near the rig at time t.

        Args:
            t: seconds.
            viewer: (3,) world position of the rig.
        """
        out: list[Group] = []
        for stream in WALKERS:
            for index, z, luck in self._members(stream, t, viewer):
                out.append(self._walker(stream, index, z, luck, t, viewer))
        for stream in CYCLISTS:
            for index, z, luck in self._members(stream, t, viewer):
                out.append(self._cyclist(stream, index, z, luck, t, viewer))
        for index, z, luck in self._members(ONCOMING, t, viewer):
            car = self._assets.running[int(luck[2] * len(self._assets.running))]
            out.append(
                self._vehicle(
                    car,
                    -LANE_M + 0.3 * (luck[3] - 0.5),
                    z,
                    True,
                    viewer,
                    ONCOMING.number * 100_000 + index % 100_000,
                    1.0,
                )
            )
        out.extend(self._ahead(t, viewer))
        out.extend(self._crossing(t, viewer))
        return out

    def _members(
        self, stream: Stream, t: float, viewer: Array
    ) -> Iterator[tuple[int, float, tuple[float, ...]]]:
        """Index, world z and random numbers of the members of a stream within sight."""
        moved = stream.speed * t
        first = math.floor((viewer[2] - 6 - moved) / stream.gap) - 1
        last = math.ceil((viewer[2] + RANGE_M - moved) / stream.gap) + 1
        for index in range(first, last):
            luck = _draw(self._seed, stream.number, index)
            z = (index + 0.8 * luck[0]) * stream.gap + moved
            if luck[1] < stream.share * self._density and viewer[2] + 1 < z < viewer[2] + RANGE_M:
                yield index, z, luck

    def _gain(self, x: float, z: float, viewer: Array) -> tuple[float, float, float]:
        """Light of lamps and of the rig's headlights on something upright."""
        ahead = max(z - viewer[2], 2.0)
        beam = math.exp(-(((x - viewer[0] - 0.3) / (0.22 * ahead + 1.0)) ** 2))
        lamp = 0.6 * lamp_light_at(x, z)
        return self._assets.gain(
            lamp, beam * min(2.5, (10.0 / ahead) ** 2), self._assets.sun_at(x, z)
        )

    def _walker(
        self, stream: Stream, index: int, z: float, luck: tuple[float, ...], t: float, viewer: Array
    ) -> Group:
        """Somebody on the pavement."""
        x = stream.x + 1.1 * (luck[2] - 0.5) + 0.15 * math.sin(0.4 * t + 6 * luck[3])
        phase = abs(stream.speed) * t / STRIDE_M + luck[4]
        view = 'back' if stream.speed > 0 else 'front'
        return self._person(
            stream.number * 100_000 + index % 100_000,
            x,
            z,
            int(luck[5] * 997),
            phase,
            view,
            0.9 + 0.18 * luck[6],
            False,
            viewer,
        )

    def _person(
        self,
        object_id: int,
        x: float,
        z: float,
        look: int,
        phase: float,
        view: str,
        size: float,
        mirror: bool,
        viewer: Array,
    ) -> Group:
        """One walking person."""
        surface = billboard(
            self._assets.walker(look, phase, view),
            x,
            z,
            (PERSON_M[0] * size, PERSON_M[1] * size),
            mirror=mirror,
            gain=self._gain(x, z, viewer),
            object_id=object_id,
        )
        return Group(
            z,
            x,
            (surface,),
            (on_ground(self._assets.shadow, x, z, 0.9, 0.7),),
            class_of=((object_id, PERSON),),
        )

    def _cyclist(
        self, stream: Stream, index: int, z: float, luck: tuple[float, ...], t: float, viewer: Array
    ) -> Group:
        """Somebody who rides along the road."""
        x = stream.x + 0.5 * (luck[2] - 0.5)
        phase = abs(stream.speed) * t / 4.5 + luck[4]
        bike, rider = self._assets.rider(int(luck[5] * 997), phase, False)
        gain = self._gain(x, z, viewer)
        object_id = stream.number * 100_000 + 2 * (index % 50_000)
        lamps: tuple[Glow, ...] = ()
        if self._assets.light.lights_on:
            lamps = (
                (Glow((x, -0.72, z), (0.1, 0.1, 1.0), 0.10),)
                if stream.speed > 0
                else (Glow((x, -0.95, z), (1.0, 1.0, 0.95), 0.35),)
            )
        surfaces = (
            billboard(rider, x, z, BICYCLE_REAR_M, gain=gain, object_id=object_id + 1),
            billboard(bike, x, z - 0.01, BICYCLE_REAR_M, gain=gain, object_id=object_id),
        )
        return Group(
            z,
            x,
            surfaces,
            (on_ground(self._assets.shadow, x, z, 0.8, 1.8),),
            lamps,
            ((object_id, BICYCLE), (object_id + 1, PERSON)),
        )

    def _vehicle(
        self,
        vehicle: Vehicle,
        x: float,
        z: float,
        towards: bool,
        viewer: Array,
        object_id: int,
        beam: float,
    ) -> Group:
        """A vehicle that drives."""
        body = vehicle.body
        gain = self._gain(x, z, viewer)
        surfaces = vehicle_surfaces(vehicle, x, z, towards, viewer, gain, object_id)
        glows: tuple[Glow, ...] = ()
        if self._assets.light.lights_on:
            lamps = vehicle.head_lamps if towards else vehicle.tail_lamps
            sign = -1.0 if towards else 1.0
            colour = (0.92, 1.0, 1.0) if towards else (0.08, 0.06, 1.0)
            base_z = z + (body.length if towards else 0.0)
            glows = tuple(
                Glow(
                    (x + sign * float(p[0]), float(p[1]), base_z + sign * float(p[2])),
                    colour,
                    1.5 * beam if towards else 0.42,
                )
                for p in lamps
            )
        shadow = on_ground(
            self._assets.warm_shadow, x, z + body.length / 2, body.width + 0.5, body.length + 0.6
        )
        return Group(z, x, surfaces, (shadow,), glows, ((object_id, CAR),), body.length, body.width)

    def _ahead(self, t: float, viewer: Array) -> list[Group]:
        """The vehicle that drives ahead of the rig, or none at a stand."""
        if self._speed < 0.5 or self._density == 0:
            return []
        luck = _draw(self._seed, 8, 0)
        gap = 17.0 + 6.0 * luck[0] + 7.0 * math.sin(0.11 * t + 6 * luck[1])
        x = LANE_M + 0.25 * math.sin(0.3 * t + 6 * luck[2])
        car = self._assets.running[int(luck[3] * len(self._assets.running))]
        return [self._vehicle(car, x, float(viewer[2]) + gap, False, viewer, 800_000, 1.0)]

    def _crossing(self, t: float, viewer: Array) -> list[Group]:
        """People and now and then a cyclist who cross the street ahead, one every few seconds."""
        out = []
        period, width = 7.0, ROAD_M + 1.5
        for index in range(math.floor(t / period) - 1, math.floor(t / period) + 1):
            luck = _draw(self._seed, 9, index)
            if luck[0] > 0.6 * self._density:
                continue
            rides = luck[1] < 0.25
            speed = 3.2 if rides else 1.35 + 0.3 * luck[2]
            begin = period * (index + 0.5 * luck[3])
            way = speed * (t - begin)
            if not 0 <= way <= 2 * width:
                continue
            right = luck[4] < 0.5
            x = (way - width) * (1 if right else -1)
            z = self._ego.distance(begin) + 9.0 + 14.0 * luck[5] + self._speed * 2 * width / speed
            phase = way / (4.5 if rides else STRIDE_M)
            if z < viewer[2] + 1:
                continue
            object_id = 900_000 + 2 * (index % 40_000)
            if rides:
                bike, rider = self._assets.rider(int(luck[6] * 997), phase, True)
                gain = self._gain(x, z, viewer)
                out.append(
                    Group(
                        z,
                        x,
                        (
                            billboard(
                                bike,
                                x,
                                z,
                                BICYCLE_M,
                                gain=gain,
                                mirror=not right,
                                object_id=object_id,
                            ),
                            billboard(
                                rider,
                                x,
                                z - 0.01,
                                BICYCLE_M,
                                gain=gain,
                                mirror=not right,
                                object_id=object_id + 1,
                            ),
                        ),
                        (on_ground(self._assets.shadow, x, z, 2.0, 0.7),),
                        class_of=((object_id, BICYCLE), (object_id + 1, PERSON)),
                    )
                )
            else:
                out.append(
                    self._person(
                        object_id,
                        x,
                        z,
                        int(luck[6] * 997),
                        phase,
                        'side',
                        0.9 + 0.18 * luck[7],
                        not right,
                        viewer,
                    )
                )
        return out
