# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How far an estimated registration is from the truth, where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ivif_ros.metrics.registration import EndpointError, endpoint_error
from ivif_ros.types import Array, Size


@dataclass(frozen=True)
class RegistrationError:
    """Distance between where a pixel was taken from and where it should have been taken from.

    Attributes:
        thermal_px: distances in pixels of the thermal image, as the maps have them.
        rgb_px: the same distances in pixels of the RGB image.
    """

    thermal_px: EndpointError
    rgb_px: EndpointError

    @property
    def pixels(self) -> int:
        """Number of RGB pixels that were compared."""
        return self.thermal_px.pixels


def end_point_error(
        estimated: Array, truth: Array, thermal_size: Size) -> RegistrationError | None:
    """Compare two backward maps by their end-point error.

    Only pixels count whose true partner is known and lies in the thermal image. RGB pixels follow
    from the scale between the images: the median of `sqrt(|det J|)` of the true map by central
    differences (differences across the edge of an object say nothing about scale).

    Args:
        estimated: (H, W, 2) thermal (x, y) of each RGB pixel as registered.
        truth: (H, W, 2) the same as it is; NaN where there is no partner.
        thermal_size: width, height of the thermal image in pixels.

    Returns:
        The figures, or None where no pixel can be compared.

    Raises:
        ValueError: the maps have different shapes.
    """
    width, height = thermal_size
    with np.errstate(invalid='ignore'):
        inside = ((truth[..., 0] >= 0) & (truth[..., 0] <= width - 1)
                  & (truth[..., 1] >= 0) & (truth[..., 1] <= height - 1))
    error = endpoint_error(estimated, truth, inside)
    if not error.pixels:
        return None
    scale = _median_scale(truth, inside)
    return RegistrationError(
        error, EndpointError(error.mean / scale, error.median / scale, error.pixels))


def _median_scale(truth: Array, valid: Array) -> float:
    """Thermal pixels per RGB pixel."""
    if min(truth.shape[:2]) < 3:
        return 1.0
    down: Array = np.gradient(truth.astype(np.float64), axis=0)
    right: Array = np.gradient(truth.astype(np.float64), axis=1)
    determinant = right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]
    area: Array = np.abs(determinant[valid])
    area = area[np.isfinite(area) & (area > 0)]
    return float(np.sqrt(np.median(area))) if len(area) else 1.0
