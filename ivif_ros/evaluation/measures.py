# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The figures of one pair: quality of fused images, and of the registration that they rest on.

They are computed where both cameras look: in the largest upright rectangle of the RGB grid that the
registered thermal image fills. Outside, the fused image is the RGB image whatever the method.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from ivif_ros.bags.truth import end_point_error
from ivif_ros.metrics import fusion
from ivif_ros.metrics.catalogue import FUSION
from ivif_ros.metrics.registration import (
    mean_squared_error,
    mutual_information,
    normalised_cross_correlation,
)
from ivif_ros.registration import dense_map
from ivif_ros.types import Array, Deformation

LEAST_SIDE = 72
"""Pixels a side that the fusion metrics need (VIF has four scales)."""
CELL = 8
"""Side of the cells in which the common rectangle is looked for."""

Area = tuple[slice, slice]
"""Rows and columns."""
Figures = dict[str, float | None]


def common_area(weight: Array) -> Area | None:
    """The largest upright rectangle that the thermal image fills.

    Args:
        weight: (H, W), above 0 where it reaches.

    Returns:
        Rows and columns, to CELL pixels where the image is not filled; None where the rectangle is
        smaller than LEAST_SIDE.
    """
    height, width = weight.shape
    filled = weight > 0
    if filled.all():
        area = slice(0, height), slice(0, width)
    else:
        rows, columns = height // CELL, width // CELL
        cells = filled[:rows * CELL, :columns * CELL].reshape(rows, CELL, columns, CELL)
        top, bottom, left, right = _largest_rectangle(np.asarray(cells.all(axis=(1, 3))))
        area = slice(top * CELL, bottom * CELL), slice(left * CELL, right * CELL)
    sides = [part.stop - part.start for part in area]
    return area if min(sides) >= LEAST_SIDE else None


def _largest_rectangle(filled: Array) -> tuple[int, int, int, int]:
    """Top, bottom, left, right (ends excluded) of the largest rectangle of True cells."""
    best, found = 0, (0, 0, 0, 0)
    heights = [0] * filled.shape[1]
    for row, cells in enumerate(filled.tolist()):
        heights = [height + 1 if cell else 0 for height, cell in zip(heights, cells, strict=True)]
        # Columns whose bars rise from left to right: each start with the height of its bar.
        rising: list[tuple[int, int]] = []
        for column, height in enumerate([*heights, 0]):
            start = column
            while rising and rising[-1][1] >= height:
                start, bar = rising.pop()
                if bar * (column - start) > best:
                    best = bar * (column - start)
                    found = row + 1 - bar, row + 1, start, column
            rising.append((start, height))
    return found


def fusion_figures(fused: Array, thermal: Array, rgb: Array, area: Area,
                   keys: Sequence[str] = tuple(FUSION)) -> Figures:
    """Fusion metrics of one image.

    Args:
        fused: (H, W, 3) uint8 BGR.
        thermal: (H, W) uint8 on the RGB grid.
        rgb: (H, W, 3) uint8 BGR.
        area: where to look, see `common_area`.
        keys: which metrics of `metrics.catalogue.FUSION`.
    """
    # Frames of recordings are read-only, and PyTorch has no such tensors.
    own, warm, colour = (
        np.require(image[area], requirements=['C', 'W']) for image in (fused, thermal, rgb))
    return {key: number(value) for key, value in fusion.evaluate(own, warm, colour, keys).items()}


def registration_figures(thermal: Array, rgb: Array, area: Area, deformation: Deformation | None,
                         truth: Array | None) -> Figures:
    """Similarity of the registered images, and the error of the map where the truth is known.

    Args:
        thermal: (H, W) uint8 on the RGB grid.
        rgb: (H, W, 3) uint8 BGR.
        area: where to look.
        deformation: the map that was used.
        truth: (H, W, 2) true thermal x, y of each RGB pixel, or None.

    Returns:
        MSE, MI, NCC; EPE in RGB pixels, None without truth.
    """
    warm, grey = thermal[area], cv2.cvtColor(np.ascontiguousarray(rgb[area]), cv2.COLOR_BGR2GRAY)
    figures: Figures = {
        'MSE': number(mean_squared_error(warm, grey)), 'MI': number(mutual_information(warm, grey)),
        'NCC': number(normalised_cross_correlation(warm, grey)), 'EPE': None}
    if truth is not None and deformation is not None:
        error = end_point_error(dense_map(deformation), truth, deformation.thermal_size)
        figures['EPE'] = None if error is None else number(error.rgb_px.mean)
    return figures


def number(value: float) -> float | None:
    """A figure for JSON: None instead of NaN and infinity."""
    value = float(value)
    return value if math.isfinite(value) else None
