# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One camera looks at one instant: from painter's order to light or heat behind its lens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ivif_ros.simulation.camera import Lens, Pose
from ivif_ros.simulation.config import RigConfig
from ivif_ros.simulation.groups import Glow
from ivif_ros.simulation.lighting import Light
from ivif_ros.simulation.painter import paint_thermal, paint_visible
from ivif_ros.simulation.radiance import FULL, encode
from ivif_ros.simulation.scene import Instant
from ivif_ros.simulation.street import FACADE_M
from ivif_ros.simulation.surface import place
from ivif_ros.types import Array

_HAZE_LENGTH_M = 45.0
"""Distance at which haze lets 37 percent of the light through."""
_AIR_LENGTH_M = 900.0
"""The same for thermal radiation in clear air; haze hardly matters at 8 to 14 micrometres."""


def corridor_depth(lens: Lens, height_m: float, x: float) -> Array:
    """Depth of ground and facades per canvas pixel for a rig that looks straight down the street.

    Args:
        lens: camera.
        height_m: camera height.
        x: distance of the camera from the centre line.

    Returns:
        (h, w) float32 metres, at most 400.
    """
    width, height = lens.canvas_size
    matrix = lens.canvas_matrix
    right = (np.arange(width, dtype=np.float32) - matrix[0, 2]) / matrix[0, 0]
    down = (np.arange(height, dtype=np.float32) - matrix[1, 2]) / matrix[1, 1] + math.tan(
        math.radians(1.2)
    )
    floor = height_m / np.maximum(down, 1e-3)
    side = np.where(right > 0, FACADE_M - x, FACADE_M + x) / np.maximum(np.abs(right), 1e-3)
    depth: Array = np.minimum(np.minimum(floor[:, None], side[None, :]), 400).astype(np.float32)
    return depth


@dataclass
class _LightPoint:
    """A light on the canvas; strength falls while surfaces before it are drawn."""

    glow: Glow
    order: int
    depth: float
    x: float
    y: float
    y_foot: float
    strength: float = 1.0


class ColourView:
    """Draws the visible world on the canvas of the colour camera."""

    def __init__(self, config: RigConfig, light: Light, lens: Lens) -> None:
        """Prepare haze and headlights, which follow the rig.

        Args:
            config: haze, glare and camera height.
            light: time of day.
            lens: of the camera.
        """
        self._light, self._lens, self._glare = light, lens, config.glare
        depth = corridor_depth(lens, config.camera_height_m, 1.75)
        width, height = lens.canvas_size
        self._beam: Array | None = None
        if light.lights_on:
            right = (
                np.arange(width, dtype=np.float32) - lens.canvas_matrix[0, 2]
            ) / lens.canvas_matrix[0, 0]
            side = right[None, :] * depth - 0.2
            cone = np.exp(-((side / (0.24 * depth + 0.9)) ** 2))
            near = 1 / (1 + np.exp(-(depth - 4.5) / 1.2))
            beam = cone * near * np.minimum(1.6, (11.0 / np.maximum(depth, 1)) ** 2)
            floor = np.mean(light.ambient) + 0.05
            gain = np.sqrt(1 + beam * np.mean(light.headlight) / floor * 1.0)
            self._beam = cv2.merge([np.clip(np.rint(gain * 50), 0, 255).astype(np.uint8)] * 4)
        self._haze = light.haze if config.haze else None
        if self._haze is not None:
            clear = np.exp(-depth / _HAZE_LENGTH_M)
            self._clear = cv2.merge([np.rint(np.sqrt(clear) * 255).astype(np.uint8)] * 4)
            airlight = encode((1 - clear)[..., None] * np.array(self._haze, np.float32))
            self._airlight = cv2.cvtColor(airlight, cv2.COLOR_BGR2BGRA)
        self._blank = np.empty((height, width, 4), np.uint8)
        self._halos = lru_cache(maxsize=64)(_halo)

    def draw(self, instant: Instant, pose: Pose) -> Array:
        """Draw the world.

        Args:
            instant: what there is.
            pose: of this camera.

        Returns:
            (h, w, 4) uint8 encoded radiance on the undistorted canvas, the last channel means
            nothing; the buffer is used again.
        """
        canvas = self._blank
        canvas[:] = 0
        placed = place(instant.surfaces, self._lens, pose)
        lights = [
            light for light in (self._light_point(*glow, pose) for glow in instant.glows) if light
        ]
        bare = True
        for one in placed:
            if bare and one.order >= instant.scenery:
                self._light_scenery(canvas)
                bare = False
            clear = 1.0
            if self._haze is not None and not bare:
                clear = round(math.exp(-one.depth / _HAZE_LENGTH_M), 2)
            paint_visible(canvas, one, None if bare else self._haze, clear)
            for light in lights:
                if one.order >= light.order and light.strength:
                    light.strength *= 1 - one.opacity(light.x, light.y)
        for light in lights:
            if light.strength > 0.02:
                self._shine(canvas, light)
        if self._glare:
            self._dazzle(canvas, pose)
        return canvas

    def _light_scenery(self, canvas: Array) -> None:
        """Add headlights and haze to ground and facades, whose depth the rig knows."""
        if self._beam is not None:
            cv2.multiply(canvas, self._beam, canvas, scale=1 / 50)
        if self._haze is not None:
            cv2.multiply(canvas, self._clear, canvas, scale=1 / 255)
            cv2.add(canvas, self._airlight, canvas)

    def _light_point(self, order: int, glow: Glow, pose: Pose) -> _LightPoint | None:
        """Find a light on the canvas."""
        depth, x, y = self._project(glow.position, pose)
        if (
            depth < 1.0
            or not -50 < x < self._blank.shape[1] + 50
            or not -50 < y < self._blank.shape[0]
        ):
            return None
        place_below = self._project((glow.position[0], 0.0, glow.position[2]), pose)
        return _LightPoint(glow, order, depth, x, y, place_below[2])

    def _project(self, point: tuple[float, float, float], pose: Pose) -> tuple[float, float, float]:
        """Depth and canvas pixel x, y of a world point."""
        seen = pose.rotation @ (np.array(point) - pose.centre)
        matrix = self._lens.canvas_matrix
        depth = max(float(seen[2]), 1e-3)
        return (
            float(seen[2]),
            float(matrix[0, 0] * seen[0] / depth + matrix[0, 2]),
            float(matrix[1, 1] * seen[1] / depth + matrix[1, 2]),
        )

    def _shine(self, canvas: Array, light: _LightPoint) -> None:
        """Add a light: saturated core, halo of the lens, and its streak on the road."""
        power = light.glow.power
        scale = self._lens.canvas_matrix[0, 0] / light.depth
        core = max(0.14 * scale * math.sqrt(min(power, 1.0)), 0.8)
        reach = core * 4.0 + 26 * math.sqrt(power) * min(1.0, 22 / light.depth)
        strength = light.strength * min(1.0, core / 1.2)
        colour = light.glow.colour
        _add_sprite(
            canvas, self._halos(round(core * 4), round(reach), colour), light.x, light.y, strength
        )
        # Asphalt mirrors at grazing angles: a soft vertical streak below the light.
        mirrored = 2 * light.y_foot - light.y
        if power > 0.2 and mirrored < canvas.shape[0] + 40 and self._light.name == 'night':
            streak = self._streaks(
                round(core * 2), max(8, round((mirrored - light.y_foot) * 0.6)), colour
            )
            _add_sprite(
                canvas,
                streak,
                light.x,
                (light.y_foot + mirrored) / 2,
                0.18 * light.strength * min(1.0, power),
            )

    @staticmethod
    @lru_cache(maxsize=128)
    def _streaks(width: int, length: int, colour: tuple[float, float, float]) -> Array:
        """Reflection of a light on rough asphalt."""
        half, tall = max(4, 3 * width), max(8, length)
        x = np.arange(-half, half + 1, dtype=np.float32)[None, :] / max(width, 1)
        y = np.arange(-tall, tall + 1, dtype=np.float32)[:, None] / tall
        field = np.exp(-(x**2)) * np.exp(-((y * 1.7) ** 2))
        return np.ascontiguousarray(field[..., None] * np.array(colour, np.float32) * 255)

    def _dazzle(self, canvas: Array, pose: Pose) -> None:
        """High beams ahead or a low sun: veil and saturated disc."""
        height, width = canvas.shape[:2]
        day = self._light.name == 'day'
        tone = (0.85, 0.95, 1.0) if day else (1.0, 1.0, 0.97)
        x, y = (0.62 * width, 0.2 * height) if day else (0.44 * width, 0.51 * height)
        yaw = math.atan2(pose.rotation[2, 0], pose.rotation[2, 2])
        x -= yaw * self._lens.canvas_matrix[0, 0]
        _add_sprite(canvas, self._dazzles(round(0.6 * width), 0.02 * width, tone), x, y, 1.0)
        veil = [float(c) * (26 if day else 16) for c in tone]
        cv2.add(canvas, np.array([*veil, 0.0]), canvas)

    @staticmethod
    @lru_cache(maxsize=4)
    def _dazzles(reach: int, core: float, colour: tuple[float, float, float]) -> Array:
        """Blinding light: stray light reaches far into the picture."""
        axis = np.arange(-reach, reach + 1, dtype=np.float32)
        radius = np.hypot(axis[:, None], axis[None, :])
        edge = np.clip(1 - radius / reach, 0, 1)
        field = 4.5 / (1 + (radius / core) ** 2) ** 0.62 * edge
        # Rays from the iris and from dirt on the lens.
        angle = np.arctan2(axis[:, None], axis[None, :])
        field *= 1 + 0.25 * np.cos(6 * angle) ** 8 + 0.1 * np.cos(17 * angle + 1)
        return np.ascontiguousarray(field[..., None] * np.array(colour, np.float32) * 180)


def _halo(core4: int, reach: int, colour: tuple[float, float, float]) -> Array:
    """Picture of a light: white where saturated, coloured around, on the square-root scale.

    Args:
        core4: radius of the core in quarter pixels.
        reach: radius of the picture in pixels.
        colour: BGR.

    Returns:
        (2 reach + 1, 2 reach + 1, 3) float32, 0..255 and above.
    """
    core = core4 / 4
    axis = np.arange(-reach, reach + 1, dtype=np.float32)
    radius = np.hypot(axis[:, None], axis[None, :])
    centre = 1.6 * np.exp(-((radius / max(core, 0.5)) ** 4))
    # Scatter in lens and air falls with about the 1.5th power of the angle.
    scatter = 0.8 / (1 + (radius / (1.3 * core + 0.7)) ** 2) ** 0.75
    edge = np.clip((reach - radius) / (0.5 * reach), 0, 1)
    tint = np.array(colour, np.float32)
    whiter = 0.55 + 0.45 * tint
    field = centre[..., None] * whiter + (scatter * edge)[..., None] * tint
    return np.ascontiguousarray(field * np.float32(255 / math.sqrt(FULL)))


def _add_sprite(canvas: Array, sprite: Array, x: float, y: float, strength: float) -> None:
    """Add light on the square-root scale, saturating: sqrt(a^2 + b^2)."""
    rows, columns = sprite.shape[:2]
    left, top = round(x - columns / 2), round(y - rows / 2)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + columns, canvas.shape[1]), min(top + rows, canvas.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    target = canvas[y0:y1, x0:x1, :3]
    part = sprite[y0 - top : y1 - top, x0 - left : x1 - left]
    if strength != 1.0:
        part = part * np.float32(strength)
    # Not cv2.magnitude: its last bits depend on where the memory lies.
    light = target.astype(np.float32)
    total = np.minimum(np.sqrt(light * light + part * part), 255)
    target[:] = total.astype(np.uint8)


class ThermalView:
    """Draws the temperatures of the world on the canvas of the thermal camera."""

    def __init__(self, light: Light, lens: Lens) -> None:
        """Keep air temperature and lens."""
        self._light, self._lens = light, lens
        width, height = lens.canvas_size
        self._blank = np.empty((height, width), np.float32)

    def draw(self, instant: Instant, pose: Pose) -> Array:
        """Draw the world.

        Args:
            instant: what there is.
            pose: of this camera.

        Returns:
            (h, w) float32 apparent degrees Celsius on the undistorted canvas; used again.
        """
        canvas = self._blank
        canvas[:] = self._light.air_c
        for placed in place(instant.surfaces, self._lens, pose):
            distance = placed.depth if placed.surface.object_id else 0.0
            paint_thermal(canvas, placed, math.exp(-distance / _AIR_LENGTH_M), self._light.air_c)
        return canvas
