# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading of one image file of either camera."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ivif_ros.errors import ImageError, SourceError
from ivif_ros.image_file import decode_image
from ivif_ros.types import Array, Sensor, check_image


def read_image(path: Path, sensor: Sensor) -> Array:
    """Read an image file as the camera would have delivered it.

    Args:
        path: PNG, JPEG, WebP, BMP or TIFF.
        sensor: whose image it is.

    Returns:
        (H, W, 3) uint8 BGR for `rgb` (16-bit files are scaled by 1/256); (H, W) uint8, uint16 or
        float32 for `thermal`: 16-bit counts and float temperatures stay as they are, coloured
        palettes become their luminance.

    Raises:
        SourceError: not there, not readable or not an image.
    """
    flags = cv2.IMREAD_COLOR if sensor == 'rgb' else cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
    image = decode_image(path, flags)
    if image.dtype == np.float64:
        image = image.astype(np.float32)
    try:
        check_image(image, f"image '{path}'")
    except ImageError as error:
        raise SourceError(str(error)) from error
    return image
