# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Textured planes, and where they fall on the canvas of a camera."""

from __future__ import annotations

import math

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


class Surface:
    """A plane in the world: points are `origin + a * right + b * down` with a, b in 0..1.

    Attributes:
        texture: what it shows.
        gain: (3,) BGR factor on the visible radiance.
        warmer_k: added to the thermal picture in kelvin.
        shade: the plane is a shadow: visible alpha darkens, the thermal picture is a temperature
            difference in kelvin that is added to what lies beneath.
        smoke: the plane hides from the colour camera only, and the truth ignores it.
        object_id: id of the moving or parked object that it belongs to; 0 for the scenery.
        polygon: (4, 2) part of the plane that exists as (a, b), or None for all of it.
        geometry: (7, 3) world metres: the four corners, the origin and the edges right and down.
        span: share of the texture between the corners along a and b.
    """

    __slots__ = ('gain', 'geometry', 'object_id', 'polygon', 'shade', 'smoke', 'span', 'texture',
                 'warmer_k')

    def __init__(self, texture: Texture, origin: Array, right: Array, down: Array,
                 polygon: Array | None = None, gain: tuple[float, float, float] = (1.0, 1.0, 1.0),
                 warmer_k: float = 0.0, shade: bool = False, smoke: bool = False,
                 object_id: int = 0) -> None:
        """Work out the corners in the world; arguments as the attributes."""
        self.texture, self.polygon, self.gain, self.warmer_k = texture, polygon, gain, warmer_k
        self.shade, self.smoke, self.object_id = shade, smoke, object_id
        ab = _SQUARE if polygon is None else polygon
        self.geometry = np.empty((7, 3))
        self.geometry[4], self.geometry[5], self.geometry[6] = origin, right, down
        self.geometry[:4] = origin + ab @ self.geometry[5:]
        self.span = (1.0, 1.0) if polygon is None else tuple(np.ptp(polygon, 0).tolist())


_SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)


class Placed:
    """Where a surface falls on a canvas.

    Attributes:
        surface: what.
        order: its place in the list that was placed.
        plane: (3, 3), (a, b, 1) -> homogeneous canvas pixel.
        outline: (n, 2) canvas pixels of the visible outline.
        box: x0, y0, x1, y1 of the touched canvas pixels, ends excluded.
        depth: smallest depth of the corners in metres.
        edges: length of the edges right and down on the canvas in pixels.
    """

    __slots__ = ('box', 'depth', 'edges', 'order', 'outline', 'plane', 'surface')

    def __init__(self, surface: Surface, order: int, plane: Array, outline: Array,
                 box: tuple[int, int, int, int], depth: float, edges: tuple[float, float]) -> None:
        """Arguments as the attributes."""
        self.surface, self.order, self.plane, self.outline = surface, order, plane, outline
        self.box, self.depth, self.edges = box, depth, edges

    def texture_to_box(self, texture: Array) -> Array:
        """Homography from texture pixels to pixels of the box (3, 3)."""
        height, width = texture.shape[:2]
        # Texel centres: pixel i covers (i .. i + 1) / width of the edge.
        matrix = self.plane / (width, height, 1.0)
        matrix[:, 2] += 0.5 * (matrix[:, 0] + matrix[:, 1])
        matrix[0] -= self.box[0] * matrix[2]
        matrix[1] -= self.box[1] * matrix[2]
        return matrix

    def best_level(self, thermal: bool) -> Array:
        """Texture version whose texels are about as large as the canvas pixels."""
        texture = self.surface.texture
        height, width = (texture.thermal if thermal else texture.visible).shape[:2]
        # A little sharper than one to one: the blur of the lens comes later.
        right = 0.8 * width * self.surface.span[0] / max(self.edges[0], 1e-3)
        down = 0.8 * height * self.surface.span[1] / max(self.edges[1], 1e-3)
        return texture.level(thermal, max(0, round(math.log2(max(right, 1.0)))),
                             max(0, round(math.log2(max(down, 1.0)))))

    def opacity(self, x: float, y: float) -> float:
        """How much the surface hides at a canvas pixel, 0..1."""
        if not (self.box[0] <= x < self.box[2] and self.box[1] <= y < self.box[3]):
            return 0.0
        outline = self.outline.astype(np.float32).reshape(-1, 1, 2)
        if cv2.pointPolygonTest(outline, (float(x), float(y)), False) < 0:
            return 0.0
        visible = self.surface.texture.visible
        if visible.shape[2] == 3:
            return 1.0
        a, b, w = np.linalg.solve(self.plane, (x, y, 1.0))
        row = min(max(int(b / w * visible.shape[0]), 0), visible.shape[0] - 1)
        column = min(max(int(a / w * visible.shape[1]), 0), visible.shape[1] - 1)
        return float(visible[row, column, 3]) / 255


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
    geometry = np.array([surface.geometry for surface in surfaces])
    seen = (geometry[:, :4] - pose.centre) @ pose.rotation.T
    nearest, farthest = seen[..., 2].min(1), seen[..., 2].max(1)
    with np.errstate(divide='ignore', invalid='ignore'):
        flat = seen @ lens.canvas_matrix.T
        flat = flat[..., :2] / flat[..., 2:]
    world_to_canvas = lens.canvas_matrix @ pose.rotation
    frame = np.stack([geometry[:, 5], geometry[:, 6], geometry[:, 4] - pose.centre], 2)
    planes = world_to_canvas @ frame
    cut = nearest <= NEAR_M
    low, high = flat.min(1), flat.max(1)
    size = high - low
    outside = (high < 0).any(1) | (low > (width - 1, height - 1)).any(1)
    tiny = (size[:, 0] * size[:, 1] < 6) | (size.min(1) < 0.7)
    shown = (farthest > NEAR_M) & (cut | ~(outside | tiny))
    lengths = np.hypot(*np.moveaxis(flat - np.roll(flat, -1, 1), -1, 0))
    edges = (lengths[:, :2] + lengths[:, 2:]) / 2
    limits = np.clip(np.nan_to_num(np.concatenate([low, high + 2], 1)), 0, [width, height] * 2)
    boxes = limits.astype(int).tolist()
    depths, spans = nearest.tolist(), edges.tolist()
    out = []
    for order in np.flatnonzero(shown).tolist():
        outline, span, box = flat[order], spans[order], boxes[order]
        if cut[order]:
            outline = _clip_near(seen[order]) @ lens.canvas_matrix.T
            outline = outline[:, :2] / outline[:, 2:]
            # Near surfaces are drawn from the finest texture.
            span = [1e9, 1e9]
            (x0, y0), (x1, y1) = outline.min(0).tolist(), outline.max(0).tolist()
            box = [max(0, int(x0)), max(0, int(y0)), min(width, int(x1) + 2), min(height, int(y1) + 2)]
        if box[2] > box[0] and box[3] > box[1]:
            out.append(Placed(surfaces[order], order, planes[order], outline, tuple(box), depths[order],
                              tuple(span)))
    return out


def _clip_near(corners: Array) -> Array:
    """Cut off the part of a convex polygon that lies before the near plane (Sutherland-Hodgman)."""
    kept = []
    for one, other in zip(corners, np.roll(corners, -1, 0)):
        if one[2] > NEAR_M:
            kept.append(one)
        if (one[2] > NEAR_M) != (other[2] > NEAR_M):
            kept.append(one + (other - one) * (NEAR_M - one[2]) / (other[2] - one[2]))
    return np.array(kept)
