# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Cheap figures that tell a useful image from a useless one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ivif_ros.types import Array

SATURATED = 250
"""Luminance from which a pixel counts as saturated."""
_SAMPLES = 10_000
_BLOCKS = 40


@dataclass(frozen=True)
class Brightness:
    """Luminance of a colour image.

    Attributes:
        high: 99th percentile, 0..255.
        saturated: share of saturated pixels, 0..1.
        contrast: largest minus smallest block average, 0..255.
    """

    high: int
    saturated: float
    contrast: int


def brightness(bgr: Array) -> Brightness:
    """Measure the luminance on an even subsample.

    Args:
        bgr: (H, W, 3) uint8.
    """
    step = max(1, int((bgr.shape[0] * bgr.shape[1] / _SAMPLES) ** 0.5))
    grey: Array = cv2.cvtColor(np.ascontiguousarray(bgr[::step, ::step]), cv2.COLOR_BGR2GRAY)
    grey = grey.reshape(-(-bgr.shape[0] // step), -1)
    below = np.cumsum(np.bincount(grey.ravel(), minlength=256))
    high = int(np.searchsorted(below, 0.99 * (grey.size - 1), 'right'))
    return Brightness(high, 1.0 - float(below[SATURATED - 1]) / grey.size, contrast(grey))


def contrast(grey: Array) -> int:
    """Largest minus smallest block average: noise averages out, so that it is no contrast.

    Args:
        grey: (H, W) uint8; about 40 x 40 blocks are averaged.

    Returns:
        0..255.
    """
    rows, columns = min(_BLOCKS, grey.shape[0]), min(_BLOCKS, grey.shape[1])
    # Blocks of whole pixels: OpenCV averages them much faster than fractions.
    height, width = grey.shape[0] // rows, grey.shape[1] // columns
    blocks: Array = cv2.resize(
        grey[:rows * height, :columns * width], (columns, rows), interpolation=cv2.INTER_AREA)
    return int(blocks.max()) - int(blocks.min())
