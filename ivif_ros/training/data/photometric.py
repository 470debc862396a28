# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What registration has to survive beyond the degradations: exposure, gain and polarity."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.types import Array


def attack_visible(image: Array, rng: np.random.Generator) -> Array:
    """Expose an image anew.

    Args:
        image: (h, w) uint8.
        rng: source of randomness.

    Returns:
        (h, w) float32 in 0..1.
    """
    return exposed(image, rng)


def attack_thermal(image: Array, rng: np.random.Generator) -> Array:
    """Change a thermal image as automatic gain, and the temperatures of a scene, do.

    Args:
        image: (h, w) uint8.
        rng: source of randomness.

    Returns:
        (h, w) float32 in 0..1: another exposure, in three of ten inverted (what is warmer than its
        surroundings by day is colder by night), in three of ten with another gain by place.
    """
    result = exposed(image, rng)
    if rng.random() < 0.3:
        result = 1 - result
    if rng.random() < 0.3:
        nodes = rng.standard_normal((4, 5)).astype(np.float32)
        height, width = result.shape
        drift = cv2.resize(nodes, (width, height), interpolation=cv2.INTER_CUBIC)
        result = np.clip(result + drift * np.float32(rng.uniform(0.02, 0.15)), 0, 1)
    return result


def exposed(image: Array, rng: np.random.Generator) -> Array:
    """Another gamma, contrast and brightness: (h, w) uint8 to float32 in 0..1."""
    levels = np.linspace(0, 1, 256) ** np.exp(rng.normal(0, 0.3))
    gain, offset = np.exp(rng.normal(0, 0.2)), rng.normal(0, 0.05)
    table = np.clip((levels - 0.5) * gain + 0.5 + offset, 0, 1)
    return np.asarray(table.astype(np.float32)[image])
