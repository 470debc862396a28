# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Things made of several planes, their lights, and the order to paint them in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ivif_ros.simulation.surface import Surface, Texture
from ivif_ros.simulation.vehicles import Vehicle
from ivif_ros.types import Array

PERSON, BICYCLE, CAR = 0, 1, 2
CLASS_NAMES = {PERSON: 'person', BICYCLE: 'bicycle', CAR: 'car'}
"""Class ids of the truth (as in COCO)."""


@dataclass(frozen=True)
class Glow:
    """A point of light and the halo that it makes in the lens.

    Attributes:
        position: world metres.
        colour: BGR, 0..1.
        power: 1 for a street lamp.
        facing: -1 shines towards the rig (seen from smaller z), 1 away from it, 0 all round.
    """

    position: tuple[float, float, float]
    colour: tuple[float, float, float]
    power: float
    facing: int = 0


@dataclass(frozen=True, eq=False)
class Group:
    """Things that are drawn together, ordered among the others by depth.

    Attributes:
        z: world z of the end that is nearest to the rig in metres.
        x: middle of the group.
        surfaces: in painter's order.
        shadows: lie on the ground, drawn before everything that stands on it.
        glows: lights.
        class_of: class of each object id in the surfaces.
        length: reach along z in metres; 0 for a billboard.
        width: reach along x in metres.
    """

    z: float
    x: float
    surfaces: tuple[Surface, ...]
    shadows: tuple[Surface, ...] = ()
    glows: tuple[Glow, ...] = ()
    class_of: tuple[tuple[int, int], ...] = ()
    length: float = 0.0
    width: float = 0.0


def back_to_front(groups: list[Group], viewer: Array) -> list[Group]:
    """Order groups for the painter.

    Of two groups side by side along z the one that is farther to the side lies behind; otherwise
    the one whose near end is farther away.

    Args:
        groups: in any order.
        viewer: (3,) world position of the rig.
    """
    if not groups:
        return []
    near, middle, length, width = np.array([(g.z, g.x, g.length, g.width) for g in groups]).T
    aside = np.maximum(np.abs(middle - viewer[0]) - width / 2, 0)
    far, key = near + length, near.copy()
    # beside[i, j]: j stands between i and the rig's lane, next to i along the street.
    beside = (near[None] <= far[:, None]) & (far[None] >= near[:, None]) & (aside < aside[:, None])
    beside &= (length[None] > 0) | (length[:, None] > 0)
    crowded = beside.any(1)
    for one in np.argsort(aside).tolist():
        if crowded[one]:
            key[one] = max(key[one], key[beside[one]].max() + 1e-3)
    return [groups[k] for k in np.argsort(-key, kind='stable').tolist()]


def billboard(
    texture: Texture,
    x: float,
    z: float,
    size_m: tuple[float, float],
    *,
    mirror: bool = False,
    anchor: float = 0.5,
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0),
    object_id: int = 0,
    base_y: float = 0.0,
) -> Surface:
    """A plane that stands upright across the street.

    Args:
        texture: picture.
        x: foot in world metres to the right of the centre line.
        z: foot in world metres along the street.
        size_m: width, height.
        mirror: swap left and right.
        anchor: where in the width the foot is, 0 left to 1 right of the unmirrored picture.
        gain: BGR light on it.
        object_id: for the truth.
        base_y: height of the lower edge above the ground, negative is up.
    """
    width, height = size_m
    sign = -1.0 if mirror else 1.0
    return Surface(
        texture,
        np.array([x - sign * anchor * width, base_y - height, z]),
        np.array([sign * width, 0.0, 0.0]),
        np.array([0.0, height, 0.0]),
        gain=gain,
        object_id=object_id,
    )


def on_ground(
    texture: Texture, x: float, z: float, width: float, length: float, shade: bool = True
) -> Surface:
    """A plane that lies on the road, centred at x, z."""
    return Surface(
        texture,
        np.array([x - width / 2, 0.0, z + length / 2]),
        np.array([width, 0.0, 0.0]),
        np.array([0.0, 0.0, -length]),
        shade=shade,
    )


def vehicle_surfaces(
    vehicle: Vehicle,
    x: float,
    z: float,
    towards: bool,
    viewer: Array,
    gain: tuple[float, float, float],
    object_id: int,
) -> tuple[Surface, ...]:
    """Panels of a vehicle that face the viewer.

    Args:
        vehicle: model.
        x: middle of the bumper in world metres.
        z: rear bumper, or the front bumper when it comes towards the rig.
        towards: it drives against the direction of the rig.
        viewer: (3,) world position for the culling of back faces.
        gain: BGR light on it.
        object_id: for the truth.
    """
    turn = np.array([-1.0, 1.0, -1.0]) if towards else np.ones(3)
    base = np.array([x, 0.0, z + (vehicle.body.length if towards else 0.0)])
    edges = vehicle.edges * turn
    origins, rights, downs = edges[0] + base, edges[1], edges[2]
    # Texture rows run down and columns right as seen from outside: the normals point inwards.
    facing = ((vehicle.normals * turn) * (origins - viewer)).sum(1) > 0
    middle = origins + (rights + downs) / 2 - viewer
    order = np.argsort(-(middle * middle).sum(1))
    return tuple(
        Surface(
            vehicle.panels[k].texture,
            origins[k],
            rights[k],
            downs[k],
            vehicle.panels[k].polygon,
            gain,
            object_id=object_id,
        )
        for k in order.tolist()
        if facing[k]
    )
