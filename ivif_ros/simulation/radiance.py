# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Square-root encoded radiance: eight bits that cover bright sky and dark street.

A byte v stands for the linear radiance `FULL * (v / 255)^2`, where 1 is what a sensor shows as
white. Photon noise has the same size everywhere on this scale (Anscombe 1948, the variance of a
Poisson variable is stabilised by its square root), so that camera noise is one addition.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ivif_ros.types import Array

FULL = 2.0
"""Linear radiance of byte 255."""


def encode(linear: Array) -> Array:
    """Linear radiance (any shape) as uint8."""
    scaled = np.sqrt(np.clip(linear, 0, FULL) * (255.0**2 / FULL)) + 0.5
    encoded: Array = scaled.astype(np.uint8)
    return encoded


def decode(byte: Array) -> Array:
    """Linear radiance of encoded bytes as float32."""
    linear: Array = np.square(byte.astype(np.float32)) * np.float32(FULL / 255.0**2)
    return linear


@lru_cache(maxsize=512)
def gain_table(
    gain: tuple[float, float, float], haze: tuple[float, float, float] | None, clear: float
) -> Array:
    """Lookup table of BGRA bytes: radiance times gain, seen through haze; alpha stays.

    Args:
        gain: BGR factor on the radiance.
        haze: BGR radiance of the haze, or None.
        clear: share of the light that gets through, 0..1.

    Returns:
        (1, 256, 4) uint8 for `cv2.LUT`.
    """
    levels = decode(np.arange(256, dtype=np.uint8))
    table = np.empty((1, 256, 4), np.uint8)
    for channel in range(3):
        light = levels * gain[channel]
        if haze is not None:
            light = light * clear + haze[channel] * (1 - clear)
        table[0, :, channel] = encode(light)
    table[0, :, 3] = np.arange(256)
    return table
