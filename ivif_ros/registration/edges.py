# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Edges as thin smooth lines, by day and by night, for people to compare two images."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.types import Array

_REFERENCE = 640.0
"""Longer side for which the scale and the width below are meant."""
_SCALE_PX = 1.75
"""Standard deviation of the smoothing: finer structure is texture and noise."""
_HALF_WIDTH_PX = 0.85
_NEIGHBOURHOOD = 1 / 24
"""Share of the longer side that is the standard deviation of a neighbourhood."""
_SMALLEST_NEIGHBOURHOOD_PX = 12.0
"""Less of it would be the edge itself."""
_FLOOR = 1.2
"""Grey levels per pixel: what smoothed noise of cameras reaches in an even neighbourhood."""
_WEAK, _STRONG = 0.9, 1.8
"""Multiples of the contrast of the neighbourhood from which an edge shows, and shows fully."""
_SHORTEST = 1 / 28
"""Share of the longer side that a line has at least; shorter ones are speckle."""


def edge_lines(grey: Array) -> Array:
    """Opacity of lines that run along the edges of an image.

    Edges are where the second derivative along the gradient changes its sign (Canny, A
    Computational Approach to Edge Detection, 1986). The distance of a pixel to that place is known
    to a fraction of a pixel, so lines of constant width without steps can be drawn. How strong a
    gradient must be depends on the contrast of its neighbourhood: dark parts of an image have
    edges too.

    Args:
        grey: (H, W) uint8.

    Returns:
        (H, W) float32, 0 (no edge) to 1. Lines are wider in larger images.
    """
    longer = max(grey.shape)
    grown = max(1.0, longer / _REFERENCE)
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _SCALE_PX * grown)
    x, y = _gradient(smooth)
    size_squared = x * x + y * y
    # Per unit of the smoothing, so that the thresholds hold at any scale.
    strength = _strength(np.sqrt(size_squared) * np.float32(grown), longer)
    lines = strength * _ribbon(x, y, size_squared, _HALF_WIDTH_PX * grown)
    return _without_speckle(lines, longer)


def _gradient(image: Array) -> tuple[Array, Array]:
    """Derivatives in x and y per pixel, (H, W) float32 each."""
    x = cv2.Scharr(image, cv2.CV_32F, 1, 0, scale=1 / 32)
    y = cv2.Scharr(image, cv2.CV_32F, 0, 1, scale=1 / 32)
    return np.asarray(x), np.asarray(y)


def _ribbon(x: Array, y: Array, size_squared: Array, half_width: float) -> Array:
    """1 within a distance of the maxima of the gradient, falling to 0 over one pixel."""
    xx, xy = _gradient(x)
    _, yy = _gradient(y)
    second = (x * x * xx + 2 * x * y * xy + y * y * yy) / (size_squared + np.float32(1e-3))
    across, down = _gradient(second)
    slope = np.sqrt(across * across + down * down)
    distance = np.abs(second) / (slope + np.float32(1e-6))
    ribbon = np.clip(np.float32(half_width + 0.5) - distance, 0, 1)
    # The other sign changes are minima of the gradient.
    ribbon[across * x + down * y >= 0] = 0
    return np.asarray(ribbon)


def _strength(slope: Array, longer: int) -> Array:
    """How far each gradient stands out of its neighbourhood, 0 to 1."""
    spread = max(_SMALLEST_NEIGHBOURHOOD_PX, longer * _NEIGHBOURHOOD)
    usual = np.sqrt(cv2.GaussianBlur(slope * slope, (0, 0), spread,
                                     borderType=cv2.BORDER_REFLECT))
    ratio = slope / np.maximum(usual, np.float32(_FLOOR))
    share = np.clip((ratio - _WEAK) / np.float32(_STRONG - _WEAK), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _without_speckle(lines: Array, longer: int) -> Array:
    """Leave out lines that are too short to say anything."""
    mask = (lines > 0).astype(np.uint8)
    _, labels, figures, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    extent = figures[:, cv2.CC_STAT_WIDTH:cv2.CC_STAT_HEIGHT + 1].max(axis=1)
    keep = extent >= longer * _SHORTEST
    keep[0] = False
    return np.asarray(lines * keep[labels])
