# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw placed surfaces on a canvas, for the colour camera, the thermal camera and the truth."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.simulation.radiance import gain_table
from ivif_ros.simulation.surface import OUTLINE_SHIFT, Placed
from ivif_ros.types import Array

_UNIT = (1.0, 1.0, 1.0)
_SMALL_BOX_PX = 16_000


def outline_mask(placed: Placed) -> Array:
    """Mask (h, w) uint8 of the pixels of the box inside the outline, 255 inside."""
    x0, y0, x1, y1 = placed.box
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillConvexPoly(mask, placed.outline, 255, cv2.LINE_8, OUTLINE_SHIFT)
    return mask


def warp(placed: Placed, texture: Array) -> Array:
    """Warp a texture into the box of a placed surface."""
    x0, y0, x1, y1 = placed.box
    width, height = x1 - x0, y1 - y0
    # Far away one canvas pixel beyond the edge is many texels; near by the rim of the texture is
    # enough, and a constant border costs much less time on large boxes.
    far = min(width, height) < 48 or width * height < _SMALL_BOX_PX
    warped: Array = cv2.warpPerspective(
        texture,
        placed.texture_to_box(texture),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if far else cv2.BORDER_CONSTANT,
    )
    return warped


def paint_visible(
    canvas: Array,
    placed: Placed,
    haze: tuple[float, float, float] | None = None,
    clear: float = 1.0,
) -> None:
    """Paint a surface on the visible canvas.

    Args:
        canvas: (H, W, 4) uint8 encoded radiance, changed in place; the last channel means nothing.
        placed: what and where.
        haze: BGR radiance of the haze between camera and surface, or None.
        clear: share of the light that gets through the haze.
    """
    surface = placed.surface
    x0, y0, x1, y1 = placed.box
    target = canvas[y0:y1, x0:x1]
    picture = warp(placed, placed.best_level(False))
    if surface.gain != _UNIT or haze is not None:
        table = gain_table(surface.gain, haze, clear)
        picture = cv2.LUT(picture, table)
    if surface.texture.opaque:
        cv2.copyTo(picture, outline_mask(placed), target)
        return
    _blend(target, picture, cv2.bitwise_and(picture[:, :, 3], outline_mask(placed)))


def _blend(target: Array, picture: Array, alpha: Array) -> None:
    """Mix a picture into the canvas by alpha (integers, rounded)."""
    weight = cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGRA)
    front = cv2.multiply(picture, weight, scale=1 / 255)
    back = cv2.multiply(target, cv2.bitwise_not(weight), scale=1 / 255)
    cv2.add(front, back, target)


def paint_thermal(canvas: Array, placed: Placed, clear: float = 1.0, air: float = 0.0) -> None:
    """Paint a surface on the thermal canvas.

    Args:
        canvas: (H, W) float32 degrees Celsius, changed in place.
        placed: what and where.
        clear: share of the surface's radiation that gets through the air.
        air: temperature of the air in degrees Celsius, which fills the rest.
    """
    surface = placed.surface
    x0, y0, x1, y1 = placed.box
    target = canvas[y0:y1, x0:x1]
    picture = warp(placed, placed.best_level(True))
    mask = outline_mask(placed)
    if picture.ndim == 2:
        heat = picture
        if surface.warmer_k:
            heat += np.float32(surface.warmer_k)
        cv2.copyTo(heat, mask, target)
        return
    heat, alpha = cv2.split(picture)
    alpha = cv2.copyTo(alpha, mask)
    if surface.shade:
        target += heat * alpha
        return
    if surface.warmer_k or clear < 1.0:
        heat = heat * np.float32(clear) + np.float32(surface.warmer_k * clear + air * (1 - clear))
    heat -= target
    heat *= alpha
    target += heat


def solid_mask(placed: Placed) -> Array:
    """Pixels of the box (h, w) bool that the surface hides: alpha of at least one half."""
    mask = outline_mask(placed) > 0
    if not placed.surface.texture.opaque:
        mask &= warp(placed, placed.best_level(False))[:, :, 3] >= 128
    return mask
