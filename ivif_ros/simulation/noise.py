# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Seeded noise and small drawing helpers that textures are made of."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.types import Array

Rng = np.random.Generator


def generator(*key: int) -> Rng:
    """Random numbers that depend on the integers of the key only."""
    return np.random.default_rng([abs(part) * 2 + (part < 0) for part in key])


def value_noise(rng: Rng, shape: tuple[int, int], cell: float, wrap: bool = False) -> Array:
    """Smooth noise of one scale.

    Args:
        rng: random numbers.
        shape: rows, columns.
        cell: size of a feature in pixels.
        wrap: the last row continues at the first.

    Returns:
        (rows, columns) float32, mean about 0, standard deviation about 1.
    """
    rows, columns = shape
    nodes_down, nodes_right = max(2, round(rows / cell)), max(2, round(columns / cell))
    nodes = rng.standard_normal((nodes_down, nodes_right)).astype(np.float32)
    if wrap:
        margin = min(3, nodes_down)
        nodes = np.concatenate([nodes[-margin:], nodes, nodes[:margin]])
        extra = round(margin * rows / nodes_down)
        big = cv2.resize(nodes, (columns, rows + 2 * extra), interpolation=cv2.INTER_CUBIC)
        field = big[extra : extra + rows]
    else:
        field = cv2.resize(nodes, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(field * np.float32(1.25 if cell > 1.5 else 1.0))


def fractal(
    rng: Rng,
    shape: tuple[int, int],
    cell: float,
    octaves: int = 5,
    gain: float = 0.6,
    wrap: bool = False,
) -> Array:
    """Sum of noise at several scales, each half the size of the one before.

    Returns:
        (rows, columns) float32, mean about 0, standard deviation about 1.
    """
    total = np.zeros(shape, np.float32)
    power, weight = 0.0, 1.0
    for _ in range(octaves):
        total += np.float32(weight) * value_noise(rng, shape, max(cell, 1.0), wrap)
        power += weight * weight
        cell, weight = cell / 2, weight * gain
    field: Array = total / np.float32(np.sqrt(power))
    return field


def bleed(colour: Array, alpha: Array, radius: int = 9) -> Array:
    """Continue colours over the transparent pixels, so that interpolated edges get no fringe.

    Args:
        colour: (h, w) or (h, w, c) float32.
        alpha: (h, w) float32, 0..1.
        radius: how far the colours reach in pixels.
    """
    weight = alpha if colour.ndim == 2 else alpha[..., None]
    size = (2 * radius + 1, 2 * radius + 1)
    spread = cv2.blur(np.ascontiguousarray(colour * weight), size)
    amount = cv2.blur(np.ascontiguousarray(alpha), size)
    mean = (colour * weight).sum((0, 1)) / max(float(alpha.sum()), 1e-6)
    amount = amount if colour.ndim == 2 else amount[..., None]
    outside = np.where(amount > 1e-3, spread / np.maximum(amount, 1e-3), mean)
    mixed: Array = (colour * weight + outside * (1 - weight)).astype(np.float32)
    return mixed
