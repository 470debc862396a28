# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Boxes of the RGB grid in the pixels of the raw thermal image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ivif_ros.registration.maps import NOWHERE, points_to_thermal
from ivif_ros.types import Array, Deformation, Detections

POINTS_PER_SIDE = 9
MIN_SIDE_PX = 1.0


def to_thermal(detections: Detections, deformation: Deformation) -> Detections:
    """Map boxes from RGB pixels to pixels of the raw thermal image.

    Points along the border of each box go through the deformation (RGB -> thermal); the box around
    them, cut to the thermal image, is the result. Boxes with less than a pixel left are dropped.

    Args:
        detections: boxes in RGB pixels.
        deformation: backward map RGB pixel -> thermal pixel.

    Returns:
        Boxes in thermal pixels with their scores, classes and track ids, in the given order.
    """
    if not len(detections):
        return detections
    # Boxes count from the outer edge of the first pixel, the deformation from its centre.
    border = _border_points(detections.boxes) - 0.5
    mapped = points_to_thermal(deformation, border.reshape(-1, 2)).reshape(border.shape) + 0.5
    # Points behind the thermal camera say nothing about where the box is.
    known = mapped > NOWHERE / 2
    low = np.where(known, mapped, np.inf).min(1)
    high = np.where(known, mapped, -np.inf).max(1)
    limit = np.array(deformation.thermal_size, np.float64)
    boxes = np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)], 1)
    sides = boxes[:, 2:] - boxes[:, :2]
    keep = (sides >= MIN_SIDE_PX).all(1)
    return replace(detections, boxes=boxes).where(keep)


def _border_points(boxes: Array) -> Array:
    """Return (n, 4 * POINTS_PER_SIDE, 2) float64 points along the borders of (n, 4) boxes."""
    t = np.linspace(0.0, 1.0, POINTS_PER_SIDE)
    zeros, ones = np.zeros_like(t), np.ones_like(t)
    unit = np.concatenate([np.stack(side, 1) for side in
                           ((t, zeros), (ones, t), (t, ones), (zeros, t))])
    corners = boxes[:, None, :2].astype(np.float64)
    border: Array = corners + unit * (boxes[:, None, 2:] - corners)
    return border
