# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Structure that colour and thermal images share, whatever is bright or dark in them.

Each pixel is described by how strong the edges around it are in four directions. The sign of an
edge is dropped (warm may be bright or dark), its strength is taken relative to the neighbourhood
(contrast differs between the sensors), as in the channel features of oriented gradients of Ye et
al. (2019).
"""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.types import Array

_DIAGONAL = np.float32(np.sqrt(0.5))
_NOISE = 0.3
_SUM = np.ones((1, 4), np.float32)


def orientation_channels(image: Array, sigma: float) -> Array:
    """Describe the structure around each pixel.

    Args:
        image: (h, w) float32 grey levels 0..255.
        sigma: blur of the description in pixels; larger reaches farther and locates worse.

    Returns:
        (h, w, 4) float32, length at most 1 per pixel, about 0 where there is no structure.
    """
    width = image.shape[1]
    gx = cv2.Sobel(image, cv2.CV_32F, 1, 0, scale=0.125)
    gy = cv2.Sobel(image, cv2.CV_32F, 0, 1, scale=0.125)
    # Not cv2.magnitude: its last bits depend on where the memory lies, and a recording must give
    # the same deformation each time.
    strength = np.sqrt(gx * gx + gy * gy)
    # The blur of a wide window is cheap in a small image, and nobody sees its edges.
    around = _wide_blur(strength, width / 16)
    gain = 1.0 / (around + 0.5 * np.float32(strength.mean()) + _NOISE)
    # Strong edges saturate: a lamp must not outweigh a street.
    gain /= 1.0 + 0.5 * gain * strength
    gx *= gain
    gy *= gain
    channels = cv2.merge([
        np.abs(gx), np.abs((gx + gy) * _DIAGONAL), np.abs(gy), np.abs((gx - gy) * _DIAGONAL)])
    channels = cv2.GaussianBlur(channels, (0, 0), sigma)
    channels -= _wide_blur(channels, width / 12)
    energy = channel_product(channels, channels)
    floor = 0.25 * float(energy.mean()) + 1e-12
    channels *= (1.0 / np.sqrt(energy + np.float32(floor)))[..., None]
    return np.asarray(channels)


def channel_product(first: Array, second: Array) -> Array:
    """Scalar product over the channels: (h, w, 4) x (h, w, 4) -> (h, w) float32."""
    return np.asarray(cv2.transform(cv2.multiply(first, second), _SUM))


def _wide_blur(image: Array, sigma: float) -> Array:
    height, width = image.shape[:2]
    shrink = max(int(sigma / 2), 1)
    small = cv2.resize(image, (max(width // shrink, 1), max(height // shrink, 1)),
                       interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(sigma * small.shape[1] / width, 0.5))
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))
