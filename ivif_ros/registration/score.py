# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A score of a registration that the optimiser does not use."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.registration.maps import map_planes, rescaled, thermal_scale
from ivif_ros.types import Array, Deformation

_WIDTH = 256
_SIGMA = 2.5
_NOISE = 4.0


def agreement(rgb: Array, thermal: Array, deformation: Deformation) -> tuple[float, float]:
    """Mean squared correlation of grey levels in small windows of the overlaid images.

    `mean over windows of cov(a, b)^2 / ((var a + s) (var b + s))`, windows Gaussian, `s` the
    variance of the noise. The square makes it blind to the sign of the contrast, the window to
    differences between the sensors that change slowly (local cross-correlation after Cachier and
    Pennec, 2000). Gradients and their directions, which the optimiser uses, do not enter.

    Args:
        rgb: (H, W, 3) uint8 BGR.
        thermal: (h, w) uint8.
        deformation: backward map RGB -> thermal for images of these sizes.

    Returns:
        The score in 0..1 over the overlap, and the overlap as a share of the RGB image.
    """
    width = min(_WIDTH, rgb.shape[1])
    height = max(round(width * rgb.shape[0] / rgb.shape[1]), 1)
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    luminance = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    laid = rescaled(deformation, (width, height), deformation.thermal_size)
    x, y = map_planes(laid)
    shrink = thermal_scale(laid)
    # Without a low-pass the thermal image would alias and match nothing.
    image = cv2.GaussianBlur(thermal, (0, 0), 0.45 * shrink) if shrink > 1.2 else thermal
    registered = cv2.remap(image, x, y, cv2.INTER_LINEAR).astype(np.float32)
    inside = cv2.bitwise_and(cv2.inRange(x, 0.0, deformation.thermal_size[0] - 1.0),
                             cv2.inRange(y, 0.0, deformation.thermal_size[1] - 1.0))
    overlap = cv2.countNonZero(inside) / inside.size
    if overlap == 0.0:
        return 0.0, 0.0
    weight = (inside > 0).astype(np.float32)
    return _local_correlation(luminance, registered, weight), overlap


def _local_correlation(a: Array, b: Array, weight: Array) -> float:
    def mean(values: Array) -> Array:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), _SIGMA))

    share = mean(weight) + np.float32(1e-6)
    wa, wb = a * weight, b * weight
    mean_a, mean_b = mean(wa) / share, mean(wb) / share
    variance_a = mean(wa * a) / share - mean_a * mean_a
    variance_b = mean(wb * b) / share - mean_b * mean_b
    covariance = mean(wa * b) / share - mean_a * mean_b
    squared = covariance * covariance / (
        (np.maximum(variance_a, 0) + _NOISE) * (np.maximum(variance_b, 0) + _NOISE))
    return float((squared * weight).sum() / weight.sum())
