# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Degradations of either camera, and the random fields that several of them use.

Every degradation is a function of images (t, h, w) float32 in 0..1, a strength from 0 (just to be
seen) to 1 (as bad as it gets on a robot) and the generator of all chance. It returns new images of
the same shape and range. The t images are moments of one scene: what is fixed in the world or in
the sensor (a lamp, a bank of smoke, stripes) is the same in all of them, noise is not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_RADII = 3.0


def uniform(low: float, high: float, rng: torch.Generator) -> float:
    """Draw a number."""
    return low + (high - low) * torch.rand((), generator=rng).item()


def noise(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Add white Gaussian noise, sigma 0.01 to 0.06, drawn for each moment."""
    sigma = 0.01 + 0.05 * strength
    return (images + sigma * torch.randn(images.shape, generator=rng)).clamp_(0, 1)


def blur(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Blur with a Gaussian, sigma 0.6 to 2.4 pixels; edges are continued by their last pixel."""
    sigma = 0.6 + 1.8 * strength
    radius = math.ceil(_RADII * sigma)
    kernel = torch.exp(-torch.arange(-radius, radius + 1.0).square() / (2 * sigma * sigma))
    kernel /= kernel.sum()
    padded = functional.pad(images[:, None], (radius,) * 4, 'replicate')
    rows = functional.conv2d(padded, kernel.view(1, 1, -1, 1))
    return functional.conv2d(rows, kernel.view(1, 1, 1, -1))[:, 0].clamp_(0, 1)


def smooth_field(height: int, width: int, cell: float, rng: torch.Generator) -> Tensor:
    """Draw independent uniform values on a grid and join them smoothly (value noise).

    Args:
        height: rows.
        width: columns.
        cell: distance of the grid points in pixels.
        rng: generator of the values.

    Returns:
        (height, width) float32, about -1 to 1 (bicubic: up to 1.4 beyond the grid's values).
    """
    rows, columns = (math.ceil(length / cell) + 1 for length in (height, width))
    coarse = torch.rand((1, 1, rows, columns), generator=rng) * 2 - 1
    return functional.interpolate(coarse, size=(height, width), mode='bicubic',
                                  align_corners=False)[0, 0]


def fractal_field(height: int, width: int, rng: torch.Generator) -> Tensor:
    """Sum four octaves of value noise, each of half the size and half the weight: clouds.

    Returns:
        (height, width) float32 from 0 to 1, both reached.
    """
    cell = max(height, width) / 1.5
    total = torch.zeros(height, width)
    for octave in range(4):
        total += smooth_field(height, width, cell / 2 ** octave, rng) / 2 ** octave
    low, high = total.aminmax()
    return (total - low) / (high - low).clamp_min(1e-6)
