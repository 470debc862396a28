# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Road, parking lanes and pavement as one texture that repeats along the street."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from ivif_ros.simulation.lighting import Light
from ivif_ros.simulation.noise import Rng, fractal, value_noise
from ivif_ros.simulation.radiance import encode
from ivif_ros.simulation.surface import Texture
from ivif_ros.types import Array

TILE_M = 48.0
"""Length of the street after which the ground repeats."""
ROAD_M = 5.4
"""Half width from the centre line to the kerb: one lane and one parking lane."""
HALF_WIDTH_M = 12.0
"""Half width of the ground texture; what lies beyond is hidden by buildings."""
GRASS_M = 9.2
"""Distance from the centre line at which grass takes over from the pavement."""
_PX_PER_M = 40
_LAMP_HEIGHT_M = 6.5


def lamp_places() -> list[tuple[float, float]]:
    """Feet of the street lamps of one tile as (x, z) in metres."""
    return [(-ROAD_M - 0.6, 6.0), (ROAD_M + 0.6, 18.0), (-ROAD_M - 0.6, 30.0), (ROAD_M + 0.6, 42.0)]


def lamp_light(x: Array, z: Array) -> Array:
    """Light of the street lamps on the ground, 1 right below a lamp.

    Args:
        x: metres to the right of the centre line.
        z: metres along the street (any), same shape as x.

    Returns:
        Same shape, float32. A floor gets `h^3 / (h^2 + d^2)^1.5` of a point light at height h; the
        lamp shines mostly down, which adds another cosine.
    """
    total = np.zeros(np.broadcast(x, z).shape, np.float32)
    for foot_x, foot_z in lamp_places():
        reach_x = foot_x - np.sign(foot_x) * 1.4
        gap = (z - foot_z + TILE_M / 2) % TILE_M - TILE_M / 2
        square = (x - reach_x) ** 2 + gap**2
        total += (_LAMP_HEIGHT_M**2 / (_LAMP_HEIGHT_M**2 + square)) ** 2
    return total


def lamp_light_at(x: float, z: float) -> float:
    """The same for one place, as a number."""
    total = 0.0
    for foot_x, foot_z in lamp_places():
        gap = (z - foot_z + TILE_M / 2) % TILE_M - TILE_M / 2
        square = (x - foot_x + math.copysign(1.4, foot_x)) ** 2 + gap * gap
        total += (_LAMP_HEIGHT_M**2 / (_LAMP_HEIGHT_M**2 + square)) ** 2
    return total


def ground_texture(rng: Rng, light: Light, sun_side: int) -> Texture:
    """Paint one tile.

    Args:
        rng: random numbers.
        light: time of day.
        sun_side: where the sun stands, see `sunlight`.

    Returns:
        Texture whose rows run from z = TILE_M (first) back to 0 and columns from left to right.
    """
    shape = (int(TILE_M * _PX_PER_M), int(2 * HALF_WIDTH_M * _PX_PER_M))
    z = ((np.arange(shape[0], dtype=np.float32)[::-1] + 0.5) / _PX_PER_M)[:, None]
    x = ((np.arange(shape[1], dtype=np.float32) + 0.5) / _PX_PER_M - HALF_WIDTH_M)[None, :]
    noise = _Noise(
        value_noise(rng, shape, 1.0),
        fractal(rng, shape, 90.0, 6, 0.75, wrap=True),
        fractal(rng, shape, 6.0 * _PX_PER_M, 3, 0.6, wrap=True),
    )
    reflect = np.float32(0.125) * (1 + 0.16 * noise.grain + 0.10 * noise.rough + 0.10 * noise.broad)
    heat = 0.30 * noise.broad + 0.30 * noise.rough + 0.35 * noise.grain
    # Tyres polish and warm two tracks per lane; oil darkens the middle between them.
    for lane in (-1.75, 1.75):
        for track in (-0.75, 0.75):
            bump = np.exp(-(((x - lane - track) / 0.28) ** 2))
            reflect += 0.014 * bump
            heat += 0.35 * bump
        reflect -= 0.016 * np.exp(-(((x - lane) / 0.3) ** 2))
    _patches(rng, reflect, heat)
    _cracks(rng, reflect, heat)
    paint = _markings(rng, shape, x, z, noise.rough)
    reflect += paint * (np.float32(0.62) - reflect)
    heat -= np.float32(0.7) * paint
    _pavement(rng, reflect, heat, x, z, noise)
    colour = reflect[..., None] * np.array([1.02, 1.0, 0.98], np.float32)
    for columns in _outside(x, GRASS_M):
        green = np.clip((np.abs(x[:, columns]) - GRASS_M) / 0.3, 0, 1)
        rough = noise.rough[:, columns]
        blade = np.maximum(0.075 + 0.03 * rough + 0.018 * noise.grain[:, columns], 0.02)
        grass = blade[..., None] * np.array([0.45, 1.0, 0.75], np.float32)
        colour[:, columns] += green[..., None] * (grass - colour[:, columns])
        heat[:, columns] += green * (-2.0 + 0.5 * rough - heat[:, columns])
    _manholes(rng, colour, heat)
    # Light changes slowly: an eighth of the resolution will do.
    lamps = cv2.resize(lamp_light(x[:, ::8], z[::8]), shape[::-1], interpolation=cv2.INTER_LINEAR)
    sunny = sunlight(x, z, sun_side)
    np.maximum(colour, 0.004, out=colour)
    for channel in range(3):
        colour[..., channel] *= (
            light.ambient[channel] + light.lamp[channel] * lamps + light.sun[channel] * sunny
        )
    heat += light.ground_c
    if light.sun_k:
        heat += np.float32(light.sun_k) * cv2.GaussianBlur(sunny, (0, 0), 6)
    return Texture(encode(colour), heat)


@dataclass(frozen=True, eq=False)
class _Noise:
    """Noise at three scales, (rows, columns) float32 each."""

    grain: Array
    rough: Array
    broad: Array


def _outside(x: Array, limit: float) -> list[slice]:
    """Columns on both sides of the street that are farther out than a limit."""
    count = int((np.abs(x[0]) > limit).sum()) // 2
    return [slice(0, count), slice(x.shape[1] - count, x.shape[1])]


def _pavement(rng: Rng, reflect: Array, heat: Array, x: Array, z: Array, noise: _Noise) -> None:
    """Slabs with joints, kerb stones, and dirt in the gutter."""
    for columns in _outside(x, ROAD_M):
        out = np.abs(x[:, columns]) - ROAD_M
        shape = (len(z), out.shape[1])
        joint = (np.mod(z, 0.5) < 0.03) | (np.mod(out, 0.5) < 0.03)
        tone = value_noise(rng, (int(TILE_M * 2), round(shape[1] / _PX_PER_M * 2)), 1.0)
        tone = cv2.resize(tone, shape[::-1], interpolation=cv2.INTER_NEAREST)
        grain = noise.grain[:, columns]
        slab = 1 + 0.06 * grain + 0.05 * noise.rough[:, columns] + 0.08 * noise.broad[:, columns]
        slab *= np.float32(0.27) * (1 + 0.06 * tone)
        slab[joint] *= 0.72
        stone = np.flatnonzero(out[0] < 0.16)
        gap = np.where(np.mod(z, 1.0) < 0.04, 0.6, 1.0).astype(np.float32)
        slab[:, stone] = 0.34 * (1 + 0.06 * grain[:, stone]) * gap
        reflect[:, columns] = slab
        heat[:, columns] += 0.15 * tone - 0.9 - 0.3 * joint
    gutter = np.exp(-(((np.abs(x) - ROAD_M + 0.16) / 0.14) ** 2))
    reflect *= 1 - 0.45 * gutter
    heat -= 0.6 * gutter


def sunlight(x: Array, z: Array, side: int) -> Array:
    """Share of the sun that reaches the ground: the houses on its side throw a shadow.

    Args:
        x: metres to the right of the centre line.
        z: metres along the street, same shape or one that broadcasts.
        side: -1 the sun stands on the left, 1 on the right, 0 it is overcast (half of it
            everywhere).

    Returns:
        float32, 0..1.
    """
    if side == 0:
        return np.full(np.broadcast(x, z).shape, 0.5, np.float32)
    # Roofs of different height; whole periods per tile, so that the tiles join.
    turn = 2 * np.pi / TILE_M * z
    edge = 1.2 + np.round(1.6 * np.sin(2 * turn + 0.4)) + 0.8 * np.sign(np.sin(5 * turn))
    share: Array = np.clip((-side * x + edge) / 0.25 + 0.5, 0, 1).astype(np.float32)
    return share


def _patches(rng: Rng, reflect: Array, heat: Array) -> None:
    """Rectangles of newer, darker asphalt with a tar seam."""
    rows, columns = reflect.shape
    for _ in range(7):
        wide, long = int(rng.uniform(0.5, 2.4) * _PX_PER_M), int(rng.uniform(0.8, 6) * _PX_PER_M)
        left = int(columns / 2 + rng.uniform(-5.2, 5.2 - wide / _PX_PER_M) * _PX_PER_M)
        top = int(rng.uniform(0, rows - long))
        part = np.s_[top : top + long, left : left + wide]
        seam = np.ones((long, wide), bool)
        seam[3:-3, 3:-3] = False
        reflect[part] *= rng.uniform(0.72, 0.92)
        reflect[part][seam] *= 0.7
        heat[part] += rng.uniform(0.1, 0.5)


def _cracks(rng: Rng, reflect: Array, heat: Array) -> None:
    """Thin wandering cracks."""
    rows, columns = reflect.shape
    lines = np.zeros(reflect.shape, np.uint8)
    for _ in range(26):
        steps = rng.normal(0, 9, (int(rng.integers(8, 40)), 2)) + rng.normal(0, 7, 2)
        start = (columns / 2 + rng.uniform(-5, 5) * _PX_PER_M, rng.uniform(0, rows))
        points = np.cumsum(np.concatenate([[start], steps]), 0)
        cv2.polylines(lines, [np.rint(points).astype(np.int32)], False, 255, 1, cv2.LINE_AA)
    reflect *= 1 - lines * np.float32(0.5 / 255)
    heat += lines * np.float32(0.9 / 255)


def _markings(rng: Rng, shape: tuple[int, int], x: Array, z: Array, rough: Array) -> Array:
    """Coverage of worn white paint, 0..1: dashed centre line, edge lines and parking bays."""
    centre = (np.abs(x) < 0.075) & (np.mod(z, 6.0) < 3.0)
    edge = (np.abs(np.abs(x) - 3.45) < 0.06) & (z >= 0)
    bays = (np.abs(x) > 3.45) & (np.abs(x) < ROAD_M - 0.25) & (np.mod(z - 1.0, 6.0) < 0.1)
    return _worn(rng, (centre | edge | bays).astype(np.float32)) * np.clip(1 + 0.12 * rough, 0.6, 1)


def _worn(rng: Rng, paint: Array) -> Array:
    """Soften and wear off paint."""
    wear = fractal(rng, (paint.shape[0], paint.shape[1]), 14.0, 4, 0.8)
    soft = cv2.GaussianBlur(paint, (0, 0), 0.8)
    return np.asarray(soft * np.clip(0.9 + 0.28 * wear, 0.15, 1.0), np.float32)


CROSSING_M = (2 * (ROAD_M - 0.4), 3.4)
"""Width across the road and length along it of a zebra crossing."""


def crossing_texture(rng: Rng, light: Light) -> Texture:
    """Zebra crossing to lay on the road: white bars, transparent between them."""
    shape = (int(CROSSING_M[1] * _PX_PER_M), int(CROSSING_M[0] * _PX_PER_M))
    x = (np.arange(shape[1], dtype=np.float32) + 0.5) / _PX_PER_M - CROSSING_M[0] / 2
    bars = np.broadcast_to((np.mod(x + 0.25, 1.0) < 0.5)[None, :], shape).astype(np.float32)
    bars = np.ascontiguousarray(bars)
    bars[:2] = bars[-2:] = 0
    alpha = _worn(rng, bars)
    lit = np.array(light.ambient) + 0.3 * np.array(light.lamp) + 0.5 * np.array(light.sun)
    colour = np.broadcast_to(encode(np.float32(0.6) * lit), (*shape, 3))
    heat = np.full(shape, light.ground_c - 0.7, np.float32)
    return Texture(
        np.dstack([colour, np.rint(alpha * 255).astype(np.uint8)]), np.dstack([heat, alpha])
    )


def _manholes(rng: Rng, colour: Array, heat: Array) -> None:
    """Iron covers: dark ring, pattern, warmer from the sewer below."""
    rows, columns = heat.shape
    radius = int(0.33 * _PX_PER_M)
    size, middle = 2 * radius + 3, radius + 1
    for _ in range(3):
        left = int(columns / 2 + rng.uniform(-3, 3) * _PX_PER_M) - middle
        top = int(rng.uniform(60, rows - 60)) - middle
        ring, disc = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
        cv2.circle(disc, (middle, middle), radius, 255, -1, cv2.LINE_AA)
        cv2.circle(ring, (middle, middle), radius, 255, 2, cv2.LINE_AA)
        for step in range(-radius, radius, 6):
            cv2.line(ring, (middle + step, 0), (middle + step, size), 90, 1)
        cover = disc / np.float32(255)
        lines = cv2.bitwise_and(ring, disc) / np.float32(255)
        part = np.s_[top : top + size, left : left + size]
        colour[part] *= (1 - 0.25 * cover - 0.35 * lines)[..., None]
        heat[part] += cover * np.float32(1.8)
