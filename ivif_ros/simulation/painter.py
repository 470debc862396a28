# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw placed surfaces on a canvas: what the colour camera, the thermal camera and the truth see."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.simulation.radiance import gain_table
from ivif_ros.simulation.surface import Placed
from ivif_ros.types import Array

_UNIT = (1.0, 1.0, 1.0)
_SHIFT = 4


def outline_mask(placed: Placed) -> Array:
    """Mask (h, w) uint8 of the pixels of the box inside the outline, 255 inside."""
    x0, y0, x1, y1 = placed.box
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    points = np.clip((placed.outline - (x0, y0)) * (1 << _SHIFT), -2**24, 2**24)
    cv2.fillConvexPoly(mask, np.rint(points).astype(np.int32), 255, cv2.LINE_8, _SHIFT)
    return mask


def warp(placed: Placed, texture: Array) -> Array:
    """Warp a texture into the box of a placed surface."""
    x0, y0, x1, y1 = placed.box
    flags = cv2.INTER_LINEAR
    # Beyond its edge a texture continues, so that nothing mixes with zeros; the outline cuts it off.
    warped: Array = cv2.warpPerspective(texture, placed.texture_to_box(texture), (x1 - x0, y1 - y0),
                                        flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return warped


def paint_visible(canvas: Array, placed: Placed, haze: tuple[float, float, float] | None = None,
                  clear: float = 1.0) -> None:
    """Paint a surface on the visible canvas.

    Args:
        canvas: (H, W, 3) uint8 encoded radiance, changed in place.
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
        picture = cv2.LUT(picture, table[:, :, :picture.shape[2]])
    if picture.shape[2] == 3:
        cv2.copyTo(picture, outline_mask(placed), target)
        return
    _blend(target, picture, cv2.bitwise_and(picture[:, :, 3], outline_mask(placed)))


def _blend(target: Array, picture: Array, alpha: Array) -> None:
    """Mix a BGRA picture into BGR by alpha (integers, rounded)."""
    colour = cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR)
    weight = cv2.merge([alpha, alpha, alpha])
    front = cv2.multiply(colour, weight, scale=1 / 255)
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
    cv2.multiply(alpha, mask, alpha, scale=1 / 255, dtype=cv2.CV_32F)
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
