# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Textured planes, and where they fall on the canvas of a camera."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from ivif_ros.simulation.camera import Lens, Pose
from ivif_ros.types import Array

NEAR_M = 0.4
"""Nothing closer than this is drawn."""


class Texture:
    """A picture of a plane for both cameras, with coarser versions for distant views.

    Texture row 0 lies at the origin of the plane, the last row at the end of its second edge.

    Attributes:
        visible: (h, w, 3) uint8 opaque, or (h, w, 4) uint8 with straight alpha; encoded as in radiance.py.
        thermal: (h', w') float32 degrees Celsius, or (h', w', 2) with alpha 0..1.
    """

    def __init__(self, visible: Array, thermal: Array) -> None:
        """Keep both pictures; they may differ in resolution, not in what they show."""
        self.visible = visible
        self.thermal = np.ascontiguousarray(thermal, np.float32)
        self._levels: dict[tuple[bool, int, int], Array] = {}

    @property
    def opaque(self) -> bool:
        """Whether the plane hides all that is behind it."""
        return self.visible.shape[2] == 3

    def level(self, thermal: bool, right: int, down: int) -> Array:
        """Version that is smaller by 2^right horizontally and 2^down vertically (area average)."""
        key = (thermal, right, down)
        if key not in self._levels:
            full = self.thermal if thermal else self.visible
            size = (max(2, full.shape[1] >> right), max(2, full.shape[0] >> down))
            self._levels[key] = (full if size == full.shape[1::-1] else
                                 cv2.resize(full, size, interpolation=cv2.INTER_AREA))
        return self._levels[key]


@dataclass(frozen=True, eq=False)
class Surface:
    """A plane in the world: points are `origin + a * right + b * down` with a, b in 0..1.

    Attributes:
        texture: what it shows.
        origin: (3,) world metres, corner of the texture's first row and column.
        right: (3,) edge along the texture's rows.
        down: (3,) edge along the texture's columns.
        polygon: (n, 2) part of the plane that exists as (a, b), or None for all of it.
        gain: (3,) BGR factor on the visible radiance.
        warmer_k: added to the thermal picture in kelvin; where it shadows, see `shade`.
        shade: the plane is a shadow: visible alpha darkens, the thermal picture is a temperature
            difference in kelvin that is added to what lies beneath.
        smoke: the plane hides from the colour camera only, and the truth ignores it.
        object_id: id of the moving or parked object that it belongs to; 0 for the scenery.
        near_m, far_m: the plane is drawn between these depths of its own points only.
    """

    texture: Texture
    origin: Array
    right: Array
    down: Array
    polygon: Array | None = None
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    warmer_k: float = 0.0
    shade: bool = False
    smoke: bool = False
    object_id: int = 0
    corners: Array = field(init=False)

    def __post_init__(self) -> None:
        """Work out the corners in the world."""
        ab = self.polygon if self.polygon is not None else np.array(
            [[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
        corners = self.origin + ab[:, :1] * self.right + ab[:, 1:] * self.down
        object.__setattr__(self, 'corners', corners)


@dataclass(frozen=True, eq=False)
class Placed:
    """Where a surface falls on a canvas.

    Attributes:
        surface: what.
        plane: (3, 3), (a, b, 1) -> homogeneous canvas pixel.
        outline: (n, 2) canvas pixels of the visible outline.
        box: x0, y0, x1, y1 of the touched canvas pixels, ends excluded.
        depth: smallest depth of the corners in metres.
    """

    surface: Surface
    plane: Array
    outline: Array
    box: tuple[int, int, int, int]
    depth: float

    def texture_to_box(self, texture: Array) -> Array:
        """Homography from texture pixels to pixels of the box (3, 3)."""
        height, width = texture.shape[:2]
        # Texel centres: pixel i covers (i .. i + 1) / width of the edge.
        unit = np.array([[1 / width, 0, 0.5 / width], [0, 1 / height, 0.5 / height], [0, 0, 1]])
        matrix = self.plane @ unit
        matrix[0] -= self.box[0] * matrix[2]
        matrix[1] -= self.box[1] * matrix[2]
        return matrix

    def best_level(self, thermal: bool) -> Array:
        """Texture version whose texels are about as large as the canvas pixels."""
        texture = self.surface.texture.thermal if thermal else self.surface.texture.visible
        height, width = texture.shape[:2]
        ab = self.surface.polygon
        (a0, b0), (a1, b1) = ((0.0, 0.0), (1.0, 1.0)) if ab is None else (ab.min(0), ab.max(0))
        middle_a, middle_b = (a0 + a1) / 2, (b0 + b1) / 2
        # Length on the canvas of a short step along each edge, seen from the middle of the outline.
        inverse = np.linalg.inv(self.plane)
        x, y = self.outline.mean(0)
        a, b, w = inverse @ (x, y, 1.0)
        middle_a, middle_b = min(max(a / w, a0), a1), min(max(b / w, b0), b1)
        base = self.plane @ (middle_a, middle_b, 1.0)
        derivative_a = (self.plane[:2, 0] - base[:2] / base[2] * self.plane[2, 0]) / base[2]
        derivative_b = (self.plane[:2, 1] - base[:2] / base[2] * self.plane[2, 1]) / base[2]
        right = width / max(float(np.hypot(*derivative_a)), 1e-6)
        down = height / max(float(np.hypot(*derivative_b)), 1e-6)
        # A little sharper than one to one: the lens blur comes later.
        return self.surface.texture.level(
            thermal, max(0, int(np.log2(max(right * 1.1, 1)))), max(0, int(np.log2(max(down * 1.1, 1)))))


def place(surfaces: list[Surface], lens: Lens, pose: Pose) -> list[Placed]:
    """Find where surfaces fall on the canvas of a camera; those out of sight are left out.

    Args:
        surfaces: in painter's order.
        lens: the camera.
        pose: where it stands.

    Returns:
        What is visible, in the same order.
    """
    if not surfaces:
        return []
    width, height = lens.canvas_size
    counts = [len(surface.corners) for surface in surfaces]
    ends = np.cumsum(counts)
    seen = pose.to_camera(np.concatenate([surface.corners for surface in surfaces]))
    with np.errstate(divide='ignore', invalid='ignore'):
        flat = seen @ lens.canvas_matrix.T
        flat = flat[:, :2] / flat[:, 2:]
    world_to_canvas = lens.canvas_matrix @ pose.rotation
    out = []
    for surface, end, count in zip(surfaces, ends, counts):
        corners = seen[end - count:end]
        depths = corners[:, 2]
        nearest = float(depths.min())
        if nearest > NEAR_M:
            outline = flat[end - count:end]
        else:
            clipped = _clip_near(corners)
            if clipped is None:
                continue
            outline = clipped @ lens.canvas_matrix.T
            outline = outline[:, :2] / outline[:, 2:]
        x0, y0 = outline.min(0)
        x1, y1 = outline.max(0)
        if x1 < 0 or y1 < 0 or x0 > width - 1 or y0 > height - 1 or (x1 - x0) + (y1 - y0) < 1.5:
            continue
        box = (max(0, int(x0)), max(0, int(y0)), min(width, int(x1) + 2), min(height, int(y1) + 2))
        if box[2] - box[0] < 1 or box[3] - box[1] < 1:
            continue
        plane = world_to_canvas @ np.stack(
            [surface.right, surface.down, surface.origin - pose.centre], 1)
        if abs(np.linalg.det(plane)) < 1e-9:
            continue
        out.append(Placed(surface, plane, outline, box, nearest))
    return out


def _clip_near(corners: Array) -> Array | None:
    """Cut off the part of a convex polygon that lies before the near plane (Sutherland-Hodgman)."""
    kept = []
    for one, other in zip(corners, np.roll(corners, -1, 0)):
        if one[2] > NEAR_M:
            kept.append(one)
        if (one[2] > NEAR_M) != (other[2] > NEAR_M):
            kept.append(one + (other - one) * (NEAR_M - one[2]) / (other[2] - one[2]))
    return np.array(kept) if len(kept) >= 3 else None
