# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Degrees Celsius from the counts of a radiometric camera."""

from __future__ import annotations

import numpy as np

from ivif_ros.errors import ParameterError
from ivif_ros.parameters import ThermalParameters
from ivif_ros.types import Array, check_image


def celsius(image: Array, params: ThermalParameters) -> Array:
    """Temperature of each pixel (REP-103: in degrees Celsius).

    `celsius_scale * image + celsius_offset`: 0.04 or 0.01 with offset -273.15 for T-linear 16-bit
    cameras, 1 with -273.15 for float images in kelvin. Float images count as degrees Celsius
    already where the scale is 0.

    Args:
        image: (H, W) uint8, uint16 or float32.
        params: scale and offset.

    Returns:
        (H, W) float32 in degrees Celsius, a new array; NaN stays NaN.

    Raises:
        ImageError: another shape or dtype, or an empty image.
        ParameterError: counts without a scale.
    """
    check_image(image, 'thermal image')
    if params.celsius_scale > 0:
        degrees: Array = image.astype(np.float32)
        degrees *= np.float32(params.celsius_scale)
        degrees += np.float32(params.celsius_offset)
        return degrees
    if image.dtype != np.float32:
        raise ParameterError(
            f"parameter 'thermal.celsius_scale' is 0, so {image.dtype} counts have no temperature; "
            'set the degrees Celsius per count that the camera documents (0.04 or 0.01 for many)')
    return image.astype(np.float32)
