# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Textured planes, and where they fall on the canvas of a camera."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from ivif_ros.simulation.camera import Lens, Pose
from ivif_ros.types import Array

NEAR_M = 0.4
"""Nothing closer than this is drawn."""


_RIM = 8
"""Texels around the pictures; at the far end of a long plane many lie in one canvas pixel."""
OUTLINE_SHIFT = 4
OUTLINE_UNIT = 1 << OUTLINE_SHIFT
"""Outlines are whole sixteenths of a pixel, as cv2.fillConvexPoly takes them."""


class Texture:
    """A picture of a plane for both cameras, with coarser versions for distant views.

    Texture row 0 lies at the origin of the plane, the last row at the end of its second edge.

    Attributes:
        visible: (h, w, 4) uint8 BGR radiance, encoded as in radiance.py, and straight alpha.
        thermal: (h', w') float32 degrees Celsius, or (h', w', 2) with alpha 0..1.
        opaque: the plane hides all that is behind it.
    """

    def __init__(self, visible: Array, thermal: Array) -> None:
        """Keep both pictures; they may differ in resolution, not in what they show.

        Args:
            visible: (h, w, 3) uint8 opaque, or (h, w, 4) uint8 with straight alpha.
            thermal: as the attribute.
        """
        self.opaque = visible.shape[2] == 3
        # OpenCV warps four channels faster than three.
        self.visible = cv2.cvtColor(visible, cv2.COLOR_BGR2BGRA) if self.opaque else visible
        self.thermal = np.ascontiguousarray(thermal, np.float32)
        self._levels: dict[tuple[bool, int, int], Array] = {}

    def level(self, thermal: bool, right: int, down: int) -> Array:
        """Version that is smaller by 2^right horizontally and 2^down vertically (area average).

        Returns:
            Picture with a rim that repeats the edge: what the outline lets through of the
            surroundings, half a canvas pixel, needs no border rule.
        """
        key = (thermal, right, down)
        if key not in self._levels:
            full = self.thermal if thermal else self.visible
            size = (max(2, full.shape[1] >> right), max(2, full.shape[0] >> down))
            small = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
            self._levels[key] = cv2.copyMakeBorder(
                small, _RIM, _RIM, _RIM, _RIM, cv2.BORDER_REPLICATE
            )
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

    __slots__ = (
        'gain',
        'geometry',
        'object_id',
        'polygon',
        'shade',
        'smoke',
        'span',
        'texture',
        'warmer_k',
    )

    def __init__(
        self,
        texture: Texture,
        origin: Array,
        right: Array,
        down: Array,
        polygon: Array | None = None,
        gain: tuple[float, float, float] = (1.0, 1.0, 1.0),
        warmer_k: float = 0.0,
        shade: bool = False,
        smoke: bool = False,
        object_id: int = 0,
    ) -> None:
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
        plane: (3, 3), (a, b, 1) -> homogeneous pixel of the box.
        outline: (n, 2) int32 visible outline in pixels of the box, times OUTLINE_UNIT.
        box: x0, y0, x1, y1 of the touched canvas pixels, ends excluded.
        depth: smallest depth of the corners in metres.
        edges: length of the edges right and down on the canvas in pixels.
    """

    __slots__ = ('box', 'depth', 'edges', 'order', 'outline', 'plane', 'surface')

    def __init__(
        self,
        surface: Surface,
        order: int,
        plane: Array,
        outline: Array,
        box: tuple[int, int, int, int],
        depth: float,
        edges: tuple[float, float],
    ) -> None:
        """Arguments as the attributes."""
        self.surface, self.order, self.plane, self.outline = surface, order, plane, outline
        self.box, self.depth, self.edges = box, depth, edges

    def texture_to_box(self, texture: Array) -> Array:
        """Homography from pixels of a texture with rim to pixels of the box (3, 3)."""
        matrix: Array = self.plane @ _texel_to_plane(
            texture.shape[0] - 2 * _RIM, texture.shape[1] - 2 * _RIM
        )
        return matrix

    def best_level(self, thermal: bool) -> Array:
        """Texture version whose texels are about as large as the canvas pixels."""
        texture = self.surface.texture
        height, width = (texture.thermal if thermal else texture.visible).shape[:2]
        # A little sharper than one to one: the blur of the lens comes later.
        right = 0.8 * width * self.surface.span[0] / max(self.edges[0], 1e-3)
        down = 0.8 * height * self.surface.span[1] / max(self.edges[1], 1e-3)
        return texture.level(
            thermal,
            max(0, round(math.log2(max(right, 1.0)))),
            max(0, round(math.log2(max(down, 1.0)))),
        )

    def opacity(self, x: float, y: float) -> float:
        """How much the surface hides at a canvas pixel, 0..1."""
        if not (self.box[0] <= x < self.box[2] and self.box[1] <= y < self.box[3]):
            return 0.0
        x, y = x - self.box[0], y - self.box[1]
        outline = self.outline.astype(np.float32).reshape(-1, 1, 2) / OUTLINE_UNIT
        if cv2.pointPolygonTest(outline, (x, y), False) < 0:
            return 0.0
        visible = self.surface.texture.visible
        if self.surface.texture.opaque:
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
    clipped: dict[int, Array] = {}
    low, high = flat.min(1), flat.max(1)
    size = high - low
    outside = (high < 0).any(1) | (low > (width - 1, height - 1)).any(1)
    tiny = (size[:, 0] * size[:, 1] < 6) | (size.min(1) < 0.7)
    shown = (farthest > NEAR_M) & (cut | ~(outside | tiny))
    lengths = np.hypot(*np.moveaxis(flat - np.roll(flat, -1, 1), -1, 0))
    edges = (lengths[:, :2] + lengths[:, 2:]) / 2
    limits = np.clip(np.nan_to_num(np.concatenate([low, high + 2], 1)), 0, [width, height] * 2)
    boxes = limits.astype(np.intp)
    for order in np.flatnonzero(cut & shown).tolist():
        # Near surfaces are cut at the near plane and drawn from the finest texture.
        flat_part = _clip_near(seen[order]) @ lens.canvas_matrix.T
        clipped[order] = flat_part[:, :2] / flat_part[:, 2:]
        edges[order] = 1e9
        reach = np.concatenate([clipped[order].min(0), clipped[order].max(0) + 2])
        boxes[order] = np.clip(reach, 0, [width, height] * 2)
    planes[:, :2] -= boxes[:, :2, None] * planes[:, 2:]
    shown &= (boxes[:, 2:] > boxes[:, :2]).all(1)
    outlines = _units(flat, boxes[:, None, :2])
    spans, depths, corners = edges.tolist(), nearest.tolist(), boxes.tolist()
    out = []
    for order in np.flatnonzero(shown).tolist():
        outline = outlines[order]
        if order in clipped:
            outline = _units(clipped[order], boxes[order, :2])
        out.append(
            Placed(
                surfaces[order],
                order,
                planes[order],
                outline,
                tuple(corners[order]),
                depths[order],
                tuple(spans[order]),
            )
        )
    return out


def _units(points: Array, start: Array) -> Array:
    """Outline relative to the start of the box, as whole numbers for OpenCV."""
    scaled = np.nan_to_num((points - start) * OUTLINE_UNIT)
    whole: Array = np.rint(np.clip(scaled, -(2**24), 2**24)).astype(np.int32)
    return whole


@lru_cache(maxsize=4096)
def _texel_to_plane(height: int, width: int) -> Array:
    """Pixels of a texture with rim -> (a, b); texel i covers (i .. i + 1) / width of the edge."""
    start = 0.5 - _RIM
    return np.array([[1 / width, 0, start / width], [0, 1 / height, start / height], [0, 0, 1]])


def _clip_near(corners: Array) -> Array:
    """Cut off the part of a convex polygon that lies before the near plane (Sutherland-Hodgman)."""
    kept = []
    for one, other in zip(corners, np.roll(corners, -1, 0), strict=True):
        if one[2] > NEAR_M:
            kept.append(one)
        if (one[2] > NEAR_M) != (other[2] > NEAR_M):
            kept.append(one + (other - one) * (NEAR_M - one[2]) / (other[2] - one[2]))
    return np.array(kept)
