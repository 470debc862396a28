# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Sky, the end of the street, trees, hedges, lamps, signs and smoke as billboards."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.simulation.lighting import Light
from ivif_ros.simulation.noise import Rng, bleed, fractal, value_noise
from ivif_ros.simulation.radiance import encode
from ivif_ros.simulation.surface import Texture
from ivif_ros.types import Array


def _texture(reflect: Array, alpha: Array, heat: Array, lit: Array) -> Texture:
    """Encode a billboard: straight alpha with colours continued over the transparent part."""
    colour = encode(np.maximum(bleed(reflect.astype(np.float32), alpha), 0.005) * lit)
    visible = np.dstack([colour, np.rint(alpha * 255).astype(np.uint8)])
    return Texture(visible, np.dstack([bleed(heat.astype(np.float32), alpha), alpha]))


def _daylight(light: Light) -> Array:
    """BGR light on things that stand half in the sun."""
    lit: Array = np.array(light.ambient, np.float32) + 0.5 * np.array(light.sun, np.float32)
    return lit


def sky_texture(rng: Rng, light: Light) -> Texture:
    """Sky from the zenith side (first row) down to the horizon (last row)."""
    shape = (192, 512)
    down = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None]
    clouds = fractal(rng, shape, 90, 6, 0.62)
    clouds = cv2.resize(clouds[:, :256], shape[::-1])
    cover = np.clip(0.5 * clouds + 0.1, 0, 1) * (0.5 + 0.5 * down)
    low, high = (np.array(c, np.float32) for c in (light.sky_horizon, light.sky_zenith))
    clear = high + (low - high) * (down**1.6)[..., None]
    bright = low * (1.05 if light.name == 'day' else 0.75) + 0.004
    visible = clear * (1 - cover[..., None]) + bright * cover[..., None]
    warm = light.sky_zenith_c + (light.sky_horizon_c - light.sky_zenith_c) * down**0.7
    warm = warm + cover * 0.45 * (light.air_c - 6 - warm)
    return Texture(encode(visible), warm)


def skyline_texture(rng: Rng, light: Light) -> Texture:
    """Trees and houses far away, 200 m wide and 25 m high."""
    rows, columns = 200, 1600
    heights = (
        np.abs(
            2.2
            + 1.6 * value_noise(rng, (1, columns), 120)[0]
            + 0.5 * value_noise(rng, (1, columns), 14)[0]
            + 0.25 * value_noise(rng, (1, columns), 4)[0]
        )
        * 8
        + 20
    )
    y = (rows - np.arange(rows, dtype=np.float32))[:, None]
    alpha = np.clip(heights[None] - y, 0, 1)
    leaf = fractal(rng, (rows, columns), 16, 4, 0.8)
    reflect = (0.055 + 0.02 * leaf)[..., None] * np.array([0.6, 1.0, 0.8])
    heat = light.air_c - 0.6 + 0.5 * leaf
    emit = np.zeros((rows, columns, 3), np.float32)
    for _ in range(16):
        left, wide = int(rng.integers(0, columns - 140)), int(rng.integers(40, 130))
        tall = int(rng.integers(50, 170))
        part = np.s_[rows - tall :, left : left + wide]
        alpha[part] = 1
        reflect[part] = rng.uniform(0.12, 0.35) * np.array([1.0, 1.0, 1.0])
        heat[part] = light.wall_c + rng.normal(0, 0.8)
        for row in range(rows - tall + 5, rows - 8, 12):
            for column in range(left + 4, left + wide - 6, 9):
                pane = np.s_[row : row + 6, column : column + 5]
                reflect[pane] = 0.05
                heat[pane] -= 1.5
                if light.lights_on and rng.random() < light.lit_windows:
                    emit[pane] = rng.uniform(0.1, 0.6) * np.array([0.6, 0.85, 1.0])
    lit = _daylight(light) + 0.03 * np.array(light.lamp, np.float32)
    haze = np.array(light.haze, np.float32)
    colour = encode(0.75 * (np.maximum(reflect, 0.01) * lit + emit) + 0.25 * haze)
    alpha = alpha.astype(np.float32)
    visible = np.dstack([colour, np.rint(alpha * 255).astype(np.uint8)])
    return Texture(visible, np.dstack([heat.astype(np.float32), alpha]))


TREE_M = (6.4, 8.6)
"""Width and height of a tree's billboard in metres."""


def tree_texture(rng: Rng, light: Light) -> Texture:
    """Trunk, branches and a crown of leaves with gaps."""
    px = 36
    columns, rows = int(TREE_M[0] * px), int(TREE_M[1] * px)
    shape = (rows, columns)
    y = ((rows - np.arange(rows, dtype=np.float32)) / px)[:, None]
    x = (np.arange(columns, dtype=np.float32) / px - TREE_M[0] / 2)[None, :]
    wood = np.zeros(shape, np.uint8)
    foot = (columns // 2, rows)
    fork = (columns // 2 + int(rng.normal(0, 5)), rows - int(2.6 * px))
    cv2.line(wood, foot, fork, 255, int(rng.uniform(0.22, 0.34) * px), cv2.LINE_AA)
    for _ in range(9):
        tip = (
            int(columns / 2 + rng.uniform(-2.2, 2.2) * px),
            rows - int(rng.uniform(4.2, 7.6) * px),
        )
        bend = ((fork[0] + tip[0]) // 2 + int(rng.normal(0, 9)), (fork[1] + tip[1]) // 2)
        cv2.polylines(
            wood,
            [np.array([fork, bend, tip], np.int32)],
            False,
            255,
            int(rng.integers(2, 5)),
            cv2.LINE_AA,
        )
    crown = np.full(shape, -9.0, np.float32)
    for _ in range(14):
        cx, cy = rng.uniform(-1.7, 1.7), rng.uniform(3.9, 7.0)
        radius = rng.uniform(0.8, 1.5)
        blob = 1 - np.hypot((x - cx) / radius, (y - cy) / (0.8 * radius))
        crown = np.maximum(crown, blob.astype(np.float32))
    leaf = fractal(rng, shape, 26, 5, 0.9)
    fine = value_noise(rng, shape, 2.2)
    leaves = np.clip((crown + 0.30 * leaf + 0.16 * fine) * 6, 0, 1)
    trunk = wood / np.float32(255)
    alpha = np.maximum(leaves, trunk)
    shade = np.clip(0.55 + 0.12 * (y - 5.0) + 0.25 * leaf + 0.22 * fine, 0.15, 1.6)
    hue = np.array([(0.35, 1.0, 0.62), (0.3, 0.9, 0.8), (0.42, 1.0, 0.55)][int(rng.integers(3))])
    green = 0.11 * shade[..., None] * hue
    bark = (0.10 * (1 + 0.3 * fine))[..., None] * np.array([0.75, 0.9, 1.0])
    round_ = np.sqrt(np.clip(1 - ((x + 0.0) / 0.2) ** 2, 0.15, 1))[..., None]
    reflect = green * leaves[..., None] + bark * round_ * (1 - leaves[..., None])
    heat = (light.air_c + 0.4 + 0.9 * leaf + 0.9 * fine) * leaves
    heat = heat + (light.wall_c + 1.2 + 0.5 * fine) * (1 - leaves)
    lamp_side = float(rng.choice([-1, 1]))
    glow = np.exp(-((x - 1.6 * lamp_side) ** 2 + (y - 5.2) ** 2) / 3.5)
    lit = (
        np.array(light.ambient, np.float32)
        + 0.5 * np.array(light.sun, np.float32)
        + (0.10 + 1.1 * glow)[..., None] * np.array(light.lamp, np.float32)
    )
    return _texture(reflect, alpha.astype(np.float32), heat, lit)


def hedge_texture(rng: Rng, light: Light, width_m: float, height_m: float) -> Texture:
    """A clipped hedge or a wall of shrubs."""
    px = 40
    shape = (int(height_m * px), int(width_m * px))
    leaf, fine = fractal(rng, shape, 18, 4, 0.9), value_noise(rng, shape, 2.0)
    y = (1 - np.arange(shape[0], dtype=np.float32) / shape[0])[:, None]
    top = 0.9 + 0.05 * value_noise(rng, (1, shape[1]), 12)
    alpha = np.clip((top - y) * 14 + 0.8 * fine, 0, 1)
    shade = np.clip(0.35 + 0.6 * y + 0.25 * leaf + 0.25 * fine, 0.12, 1.6)
    reflect = 0.085 * shade[..., None] * np.array([0.4, 1.0, 0.65])
    heat = light.air_c - 0.4 + 1.0 * leaf + 0.9 * fine
    lit = _daylight(light) + 0.22 * np.array(light.lamp, np.float32)
    return _texture(reflect, alpha.astype(np.float32), heat, np.broadcast_to(lit, (*shape, 3)))


LAMP_M = (2.4, 7.2)
"""Width and height of a street lamp's billboard in metres."""


def lamp_texture(light: Light) -> Texture:
    """Steel post with an arm to the right and a flat head."""
    px = 40
    columns, rows = int(LAMP_M[0] * px), int(LAMP_M[1] * px)
    shape = cv2.resize(np.zeros((2, 2), np.uint8), (columns, rows))
    heat = np.full((rows, columns), light.wall_c - 0.8, np.float32)
    foot = int(0.2 * px)
    cv2.line(shape, (foot, rows), (foot, int(0.9 * px)), 255, 5, cv2.LINE_AA)
    cv2.line(shape, (foot, rows), (foot, rows - int(1.0 * px)), 255, 8, cv2.LINE_AA)
    cv2.ellipse(
        shape,
        (foot + int(1.2 * px), int(0.9 * px)),
        (int(1.2 * px), int(0.5 * px)),
        0,
        180,
        270,
        255,
        4,
        cv2.LINE_AA,
    )
    head = ((foot + int(1.1 * px), int(0.33 * px)), (foot + int(1.9 * px), int(0.5 * px)))
    cv2.rectangle(shape, head[0], head[1], 255, -1)
    heat[head[0][1] : head[1][1], head[0][0] : head[1][0]] += 14.0 if light.lights_on else 1.0
    alpha = shape / np.float32(255)
    reflect = np.full((rows, columns, 3), 0.16, np.float32)
    y = (1 - np.arange(rows, dtype=np.float32) / rows)[:, None, None]
    lit = _daylight(light) + 0.25 * (1 - y) * np.array(light.lamp, np.float32)
    return _texture(reflect, alpha, heat, np.broadcast_to(lit, reflect.shape))


SIGN_M = (0.7, 2.7)
"""Width and height of a traffic sign's billboard in metres."""


def sign_texture(rng: Rng, light: Light) -> Texture:
    """A post with a round or triangular sign that throws light back."""
    px = 70
    columns, rows = int(SIGN_M[0] * px), int(SIGN_M[1] * px)
    reflect = np.full((rows, columns, 3), 0.3, np.float32)
    shape = np.zeros((rows, columns), np.uint8)
    heat = np.full((rows, columns), light.wall_c - 1.0, np.float32)
    middle, radius = columns // 2, int(0.31 * px)
    cv2.line(shape, (middle, rows), (middle, radius), 255, 4, cv2.LINE_AA)
    centre = (middle, radius + 3)
    kind = int(rng.integers(3))
    ink: tuple[float, ...] = [(0.05, 0.04, 0.55), (0.5, 0.2, 0.04), (0.05, 0.04, 0.55)][kind]
    if kind < 2:
        cv2.circle(shape, centre, radius, 255, -1, cv2.LINE_AA)
        cv2.circle(reflect, centre, radius, ink, -1)
        if kind == 0:
            cv2.circle(reflect, centre, int(radius * 0.72), (0.7, 0.7, 0.7), -1)
    else:
        corners = np.array([[middle - radius, 5], [middle + radius, 5], [middle, 2 * radius]])
        cv2.fillPoly(shape, [corners], 255, cv2.LINE_AA)
        cv2.fillPoly(reflect, [corners], ink)
        cv2.fillPoly(
            reflect,
            [((corners - corners.mean(0)) * 0.62 + corners.mean(0)).astype(int)],
            (0.7, 0.7, 0.7),
        )
    cv2.circle(heat, centre, radius, light.wall_c - 2.5, -1)
    lit = _daylight(light) + 0.4 * np.array(light.lamp, np.float32)
    return _texture(reflect, shape / np.float32(255), heat, np.broadcast_to(lit, reflect.shape))


def shadow_texture(warmer_k: float, corner: float, dark: float) -> Texture:
    """A soft shadow to lay on the ground below people and vehicles.

    Args:
        warmer_k: temperature difference in its middle (negative: colder).
        corner: exponent of the outline, 2 for round, larger for a rounded rectangle.
        dark: share of the light that is missing in the middle on the square-root scale, 0..1.
    """
    grid = np.abs(np.linspace(-1, 1, 64, dtype=np.float32))
    radius = (grid[:, None] ** corner + grid[None, :] ** corner) ** (1 / corner)
    alpha = np.clip((1 - radius) * 2.6, 0, 1).astype(np.float32)
    alpha = alpha * alpha * (3 - 2 * alpha)
    visible = np.zeros((64, 64, 4), np.uint8)
    visible[..., 3] = np.rint(alpha * 255 * dark)
    return Texture(visible, np.dstack([np.full_like(alpha, warmer_k), alpha]))


def smoke_texture(rng: Rng, light: Light) -> Texture:
    """A ragged cloud of smoke; thermal radiation passes almost unhindered."""
    shape = (160, 240)
    down = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    puff = fractal(rng, shape, 60, 5, 0.6)
    body = 1.1 - 1.25 * np.hypot(down, across) + 0.32 * puff
    alpha = np.clip(body * 1.6, 0, 0.93) * np.clip((1 - np.hypot(down, across)) * 4, 0, 1)
    tone = _daylight(light) * 0.6 + 0.3 * np.array(light.lamp, np.float32)
    tone = tone + 0.35 * np.array(light.headlight, np.float32)
    colour = encode((0.62 + 0.07 * puff)[..., None] * tone)
    visible = np.dstack([colour, np.rint(alpha * 255).astype(np.uint8)])
    thin = (0.10 * alpha).astype(np.float32)
    return Texture(visible, np.dstack([np.full(shape, light.air_c + 1.0, np.float32), thin]))
