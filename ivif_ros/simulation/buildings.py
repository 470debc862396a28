# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Facades with windows, shops and doors, painted for both cameras."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ivif_ros.simulation.lighting import Light
from ivif_ros.simulation.noise import Rng, fractal, value_noise
from ivif_ros.simulation.radiance import encode
from ivif_ros.simulation.surface import Texture
from ivif_ros.types import Array

_PX_PER_M = 28
_FLOOR_M = 3.2
_WALLS = (
    (0.34, 0.42, 0.48),
    (0.16, 0.22, 0.38),
    (0.30, 0.31, 0.32),
    (0.44, 0.52, 0.56),
    (0.20, 0.30, 0.42),
    (0.50, 0.52, 0.52),
    (0.14, 0.17, 0.22),
)
"""BGR reflectance of plaster, brick, concrete, sandstone, clinker, white and dark stone."""


@dataclass(frozen=True, eq=False)
class Building:
    """A facade and the wall at its end.

    Attributes:
        length_m: along the street.
        height_m: above the pavement.
        front: facade, columns run along the street.
        end: bare end wall.
    """

    length_m: float
    height_m: float
    front: Texture
    end: Texture


class _Canvas:
    """Layers of one facade while it is painted: reflectance, emission and temperature."""

    def __init__(self, rng: Rng, light: Light, length: float, height: float) -> None:
        """Start with a bare weathered wall."""
        self.rng, self.light = rng, light
        self.length, self.height = length, height
        self.shape = (int(height * _PX_PER_M), int(length * _PX_PER_M))
        base = np.array(_WALLS[int(rng.integers(len(_WALLS)))], np.float32) * rng.uniform(0.75, 1.1)
        grain = 0.05 * value_noise(rng, self.shape, 1.0) + 0.06 * fractal(
            rng, self.shape, 60, 5, 0.7
        )
        # Rain leaves vertical streaks below edges.
        streaks = cv2.GaussianBlur(value_noise(rng, self.shape, 3.0), (0, 0), sigmaX=0.8, sigmaY=40)
        grain += 0.25 * streaks
        self.reflect = base * (1 + grain[..., None])
        if rng.random() < 0.5:
            self._bricks()
        self.emit = np.zeros((*self.shape, 3), np.float32)
        self.heat = (
            light.wall_c
            + rng.normal(0, 0.9)
            + 0.45 * fractal(rng, self.shape, 80, 6, 0.75)
            + 1.2 * streaks
        ).astype(np.float32)

    def _bricks(self) -> None:
        """Courses and joints."""
        rows, columns = self.shape
        course = np.arange(rows) // 5
        joint = (np.arange(rows) % 5 == 0)[:, None] | (
            (np.arange(columns)[None, :] + 4 * (course[:, None] % 2)) % 9 == 0
        )
        tone = self.rng.normal(0, 0.09, (rows // 5 + 1, columns // 9 + 2))
        pick = tone[course[:, None], (np.arange(columns)[None, :] + 4 * (course[:, None] % 2)) // 9]
        self.reflect *= (1 + pick[..., None]) * np.where(joint, 1.18, 1.0)[..., None]

    def box(self, x: float, y: float, width: float, height: float) -> tuple[slice, slice]:
        """Rows and columns of a rectangle in metres from the left and from the ground."""
        top, left = self.shape[0] - (y + height) * _PX_PER_M, x * _PX_PER_M
        rows = slice(max(0, round(top)), max(0, round(top + height * _PX_PER_M)))
        return rows, slice(max(0, round(left)), max(0, round(left + width * _PX_PER_M)))

    def fill(
        self, part: tuple[slice, slice], reflect: tuple[float, ...] | Array, warmer: float
    ) -> None:
        """Paint a rectangle with a reflectance and a temperature above the wall's."""
        self.reflect[part] = reflect
        self.heat[part] += warmer

    def window(self, x: float, y: float, width: float, height: float, lit: bool) -> None:
        """A window with reveal, frame, bars, curtain and what shines through or is reflected."""
        light, rng = self.light, self.rng
        rows, columns = self.box(x, y, width, height)
        tall, wide = self.reflect[rows, columns].shape[:2]
        if tall < 6 or wide < 5:
            return
        # Reveal: a shadow below the lintel and along one jamb, a bright sill.
        self.reflect[rows.start - 1 : rows.stop + 1, columns.start - 1 : columns.stop + 1] *= 0.6
        self.fill(self.box(x - 0.08, y - 0.1, width + 0.16, 0.1), (0.5, 0.52, 0.53), 0.9)
        down = np.linspace(0, 1, tall, dtype=np.float32)[:, None]
        glass = (
            0.03 + 0.05 * (1 - down) + 0.015 * value_noise(rng, (tall, wide), max(tall, wide) / 3)
        )
        sky = np.array(light.sky_horizon, np.float32) * 0.22
        self.reflect[rows, columns] = 0.02
        self.emit[rows, columns] += (
            np.clip(glass / 0.06, 0.2, 2)[..., None] * sky * rng.uniform(0.1, 0.9)
        )
        cold = rng.uniform(0.8, 3.2) * (0.6 + 0.6 * min(y / 12, 1))
        self.heat[rows, columns] = (
            light.wall_c - cold * (1 - 0.5 * down) + 0.3 * value_noise(rng, (tall, wide), tall / 2)
        )
        if lit:
            tone = np.array(
                [(0.45, 0.78, 1.0), (0.75, 0.95, 1.0), (0.95, 1.0, 0.95)][int(rng.integers(3))],
                np.float32,
            )
            power = rng.uniform(0.2, 1.3) * (1.0 if light.name == 'night' else 0.7)
            room = 0.45 + 0.55 * (1 - down) + 0.2 * value_noise(rng, (tall, wide), wide / 3)
            self.emit[rows, columns] += np.clip(room, 0.1, 1.5)[..., None] * tone * power
            self.heat[rows, columns] += rng.uniform(2.0, 6.0)
        if rng.random() < 0.5:
            drop = int(tall * rng.uniform(0.2, 0.95))
            blind = np.s_[rows.start : rows.start + drop, columns]
            self.reflect[blind] = 0.35
            self.emit[blind] *= 0.55
            self.heat[blind] += 0.6
        self._frame(rows, columns)

    def _frame(self, rows: slice, columns: slice) -> None:
        """Frame and one or two bars."""
        paint = np.float32(self.rng.choice([0.55, 0.1]))
        middle = (columns.start + columns.stop) // 2
        lines = [
            np.s_[rows.start : rows.start + 2, columns],
            np.s_[rows.stop - 2 : rows.stop, columns],
            np.s_[rows, columns.start : columns.start + 2],
            np.s_[rows, columns.stop - 2 : columns.stop],
            np.s_[rows, middle - 1 : middle + 1],
        ]
        for line in lines:
            self.reflect[line] = paint
            self.emit[line] = 0
            self.heat[line] += 0.8
        # The shadow that the lintel throws on the glass.
        self.emit[rows.start + 2 : rows.start + 5, columns] *= 0.5

    def texture(self) -> Texture:
        """Light the wall and encode it."""
        light = self.light
        rows, columns = self.shape
        y = ((rows - np.arange(rows) - 0.5) / _PX_PER_M).astype(np.float32)[:, None]
        x = (np.arange(columns, dtype=np.float32) / _PX_PER_M)[None, :]
        phase = self.rng.uniform(0, 24)
        # Street lamps light the wall from below their heads; pools follow the lamps' spacing.
        gap = (x - phase + 12) % 24 - 12
        pool = 14.0 / (14.0 + gap**2 + (y - 4.0) ** 2) * np.where(y < 6.5, 1, np.exp(6.5 - y))
        contact = 1 - 0.35 * np.exp(-y / 0.4)
        lit = np.array(light.ambient, np.float32) * (0.85 + 0.15 * np.minimum(y / self.height, 1))[
            ..., None
        ] + 0.55 * pool[..., None] * np.array(light.lamp, np.float32)
        radiance = np.maximum(self.reflect, 0.01) * lit * contact[..., None] + self.emit
        heat = self.heat - 0.6 * np.exp(-y / 0.5)
        return Texture(encode(radiance), heat)


def make_building(rng: Rng, light: Light) -> Building:
    """Invent a building.

    Args:
        rng: random numbers.
        light: time of day.
    """
    floors = int(rng.integers(2, 7))
    length = float(rng.uniform(9, 20))
    height = floors * _FLOOR_M + 1.2 + float(rng.uniform(0, 0.8))
    wall = _Canvas(rng, light, length, height)
    step = float(rng.uniform(1.9, 3.2))
    width, tall = float(rng.uniform(0.5, 0.8)) * step, float(rng.uniform(1.3, 2.1))
    count = int((length - 0.6) / step)
    left = (length - count * step) / 2 + (step - width) / 2
    shop = rng.random() < 0.55
    bands = rng.random() < 0.6
    for floor in range(floors):
        base = floor * _FLOOR_M + 0.5
        if bands or floor == 1:
            wall.fill(wall.box(0, base - 0.45, length, 0.22), wall.reflect.mean((0, 1)) * 1.2, 0.7)
            wall.reflect[wall.box(0, base - 0.55, length, 0.1)] *= 0.6
        if floor == 0:
            _ground_floor(wall, shop, left, step, width, count)
            continue
        balcony = rng.random() < 0.25
        for column in range(count):
            if rng.random() < 0.04:
                continue
            x = left + column * step
            wall.window(x, base + 0.6, width, tall, rng.random() < light.lit_windows)
            if balcony:
                rail = wall.box(x - 0.25, base + 0.2, width + 0.5, 0.9)
                wall.reflect[rail] = wall.reflect[rail] * 0.45 + 0.05
                wall.emit[rail] *= 0.4
                wall.heat[rail] += 0.5
            elif rng.random() < 0.08:
                wall.fill(
                    wall.box(x + 0.1, base + 0.05, 0.8, 0.5),
                    (0.5, 0.5, 0.48),
                    float(rng.choice([0.5, 7.0])),
                )
    # Roof edge: cornice, cold metal, and a down pipe.
    wall.fill(wall.box(0, height - 0.5, length, 0.5), wall.reflect.mean((0, 1)) * 0.8, -1.2)
    wall.reflect[wall.box(0, height - 0.62, length, 0.12)] *= 0.5
    wall.fill(wall.box(float(rng.uniform(0.1, 0.4)), 0, 0.12, height), (0.2, 0.2, 0.2), -0.8)
    end = _Canvas(rng, light, 10.0, height)
    for floor in range(1, floors):
        if rng.random() < 0.5:
            end.window(
                float(rng.uniform(2, 8)),
                floor * _FLOOR_M + 1.0,
                0.9,
                1.3,
                rng.random() < light.lit_windows,
            )
    return Building(length, height, wall.texture(), end.texture())


def _ground_floor(
    wall: _Canvas, shop: bool, left: float, step: float, width: float, count: int
) -> None:
    """Shop windows with an awning and a sign, or doors and plain windows."""
    rng, light = wall.rng, wall.light
    if not shop:
        door = int(rng.integers(max(count, 1)))
        for column in range(count):
            x = left + column * step
            if column == door:
                wall.fill(wall.box(x, 0, min(width, 1.2), 2.3), (0.06, 0.09, 0.13), 1.0)
                wall.reflect[wall.box(x + 0.15, 0.3, 0.35, 1.8)] *= 0.7
            else:
                wall.window(x, 1.0, width, 1.4, rng.random() < light.lit_windows)
        return
    open_now = light.name != 'night' or rng.random() < 0.45
    place = 0.5
    while place < wall.length - 3:
        wide = float(rng.uniform(2.0, 3.2))
        wall.window(place, 0.5, wide, 2.1, open_now and light.lights_on)
        rows, columns = wall.box(place + 0.1, 0.6, wide - 0.2, 1.0)
        goods = value_noise(rng, wall.reflect[rows, columns].shape[:2], 9)[..., None]
        wall.emit[rows, columns] *= np.clip(0.75 + 0.35 * goods, 0.2, 1.4)
        place += wide + 0.35
    colour = rng.uniform(0.04, 0.5, 3)
    rows, columns = wall.box(0.3, 2.75, wall.length - 0.6, 0.6)
    wall.fill((rows, columns), colour, 0.8)
    letters = np.zeros_like(wall.heat[rows, columns])
    for glyph in range(int(rng.integers(4, 10))):
        x = int(letters.shape[1] * (0.12 + 0.05 * glyph))
        cv2.rectangle(
            letters, (x, 4), (x + int(rng.integers(2, 7)), 12), 1.0, int(rng.choice([-1, 2]))
        )
    wall.reflect[rows, columns] += letters[..., None] * 0.5
    if light.lights_on and open_now and rng.random() < 0.6:
        tone = rng.uniform(0.3, 1.0, 3)
        wall.emit[rows, columns] += (0.08 * colour + letters[..., None] * tone * 0.8).astype(
            np.float32
        )
