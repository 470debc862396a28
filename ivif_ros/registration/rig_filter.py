# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Geometry of the rig out of many estimates: a homography and a lens that change slowly.

Least squares with exponential forgetting, each estimate weighted by its expected error: a running
mean at first, then a low-pass in the time of the stream. The lens is a cubic polynomial over the
image, too stiff to follow objects; places that do not fit it count less (Geman and McClure, 1985).
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from ivif_ros.registration.maps import (
    apply_homography,
    corners,
    grid_nodes,
    resampled_confidence,
    rescaled,
)
from ivif_ros.registration.trust import (
    REFERENCE_WIDTH,
    confidence_of,
    error_of,
    reference_px,
    typical_distance,
)
from ivif_ros.types import Array, Deformation, DeformationSource, Size

_LEAST_VARIANCE = 0.25
"""Square pixels of an image 640 wide that no estimate is better than."""
_FITS_PX = 3.0
"""Distance from the lens beyond which places count little, in pixels of an image 640 wide."""
_LENS_PRIOR = 0.02
"""Weight of 'the lens is ideal' beside estimates whose variance is one square pixel."""
_NEGLIGIBLE_PX = 0.1
_ROUNDS = 3


class RigFilter:
    """Homography and lens that most estimates of the last seconds share."""

    def __init__(self) -> None:
        """Start without estimates."""
        self.reset()

    def reset(self) -> None:
        """Forget all estimates."""
        self._sizes: tuple[Size, Size] | None = None
        self._corners: Array = np.zeros((4, 2))
        self._weight = 0.0
        self._square_error = 0.0
        self._normal: Array = np.zeros((10, 10))
        self._moments: Array = np.zeros((10, 2))
        self._shape: tuple[int, int] | None = None
        self._rig: Deformation | None = None
        self.count = 0

    @property
    def rig(self) -> Deformation | None:
        """The rig, None before the first estimate; the same object until the next one.

        Its residual is what single estimates are expected to err by, and what they differ from it.
        """
        return self._rig

    def add(self, estimate: Deformation, elapsed_s: float, time_constant_s: float) -> None:
        """Take an estimate of the whole map, parallax included.

        Args:
            estimate: accepted estimate for images of the same sizes as before.
            elapsed_s: time of the stream since the estimate before.
            time_constant_s: time in which older estimates lose their weight; 0 keeps only this one.
        """
        kept = math.exp(-elapsed_s / time_constant_s) if time_constant_s > 0 else 0.0
        error = float(error_of(estimate.confidence))
        if self._rig is not None:
            error = math.hypot(error, typical_distance(self._rig, estimate))
        weight = 1.0 / (float(error_of(estimate.confidence)) ** 2 + _LEAST_VARIANCE)
        self._sizes = estimate.rgb_size, estimate.thermal_size
        self._weight = kept * self._weight + weight
        share = weight / self._weight
        found = apply_homography(estimate.homography, corners(estimate.rgb_size))
        self._corners = self._corners + share * (found - self._corners)
        self._square_error += share * (error**2 - self._square_error)
        self._normal, self._moments = kept * self._normal, kept * self._moments
        if estimate.grid is not None:
            self._add_lens(estimate)
        self.count += 1
        self._rig = self._compose()

    def fit_sizes(self, rgb_size: Size, thermal_size: Size) -> None:
        """Carry what is known over to images of other sizes."""
        if self._rig is None or self._sizes == (rgb_size, thermal_size):
            return
        old = self._rig.thermal_size
        moved = rescaled(self._rig, rgb_size, thermal_size)
        self._sizes = rgb_size, thermal_size
        self._corners = apply_homography(moved.homography, corners(rgb_size))
        self._moments = self._moments * (np.array(thermal_size) / np.array(old))
        self._rig = self._compose()

    def _add_lens(self, estimate: Deformation) -> None:
        """Add the displacement that the homography of an estimate leaves."""
        assert estimate.grid is not None
        rows, columns = self._shape = estimate.grid.shape[0], estimate.grid.shape[1]
        basis = _basis(columns, rows)
        left = estimate.grid.reshape(-1, 2).astype(np.float64)
        trust = estimate.confidence_map
        error = error_of(estimate.confidence if trust is None
                         else resampled_confidence(trust, columns, rows).reshape(-1))
        weights = np.broadcast_to(1.0 / (error**2 + _LEAST_VARIANCE), len(basis))
        fits = _FITS_PX * reference_px(estimate)
        known = bool(self._normal.any())
        coefficients = self._lens()
        normal, moments = self._normal, self._moments
        for _ in range(_ROUNDS):
            robust = weights
            if known:
                apart = np.sum((left - basis @ coefficients) ** 2, axis=1) / fits**2
                robust = weights / (1.0 + apart) ** 2
            weighted = basis * (robust / len(basis))[:, None]
            normal = self._normal + weighted.T @ basis
            moments = self._moments + weighted.T @ left
            coefficients = _solve(normal, moments)
            known = True
        self._normal, self._moments = normal, moments

    def _lens(self) -> Array:
        return _solve(self._normal, self._moments)

    def _compose(self) -> Deformation:
        assert self._sizes is not None
        rgb_size, thermal_size = self._sizes
        homography = cv2.getPerspectiveTransform(
            corners(rgb_size).astype(np.float32), self._corners.astype(np.float32))
        error = math.sqrt(self._square_error)
        rig = Deformation(
            rgb_size, thermal_size, homography, None, float(confidence_of(error)),
            error * rgb_size[0] / REFERENCE_WIDTH, DeformationSource.ESTIMATED)
        if self._shape is None:
            return rig
        rows, columns = self._shape
        grid = (_basis(columns, rows) @ self._lens()).reshape(rows, columns, 2)
        if np.abs(grid).max() < _NEGLIGIBLE_PX * reference_px(rig):
            return rig
        return Deformation(rgb_size, thermal_size, homography, grid, rig.confidence,
                           rig.residual_px, rig.source)


def _solve(normal: Array, moments: Array) -> Array:
    return np.linalg.solve(normal + _LENS_PRIOR * np.eye(10), moments)


def _basis(columns: int, rows: int) -> Array:
    """Products of powers of both coordinates up to degree 3, (rows * columns, 10)."""
    # From -1 to 1 over the image.
    x, y = np.moveaxis(grid_nodes((3, 3), columns, rows).reshape(-1, 2) - 1.0, -1, 0)
    return np.stack([x**i * y**j for i in range(4) for j in range(4 - i)], axis=1)
