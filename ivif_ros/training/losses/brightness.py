# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Coarse brightness: that of the visible image wherever it shows something, warm targets bright.

The figures of the literature do not care which source gives the brightness: a network that follows
them alone hands out thermal images in daylight. People do care.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ivif_ros.training.losses.filters import single

CELL = 8
"""Brightness is compared between means over so many pixels a side."""


def coarse(x: Tensor) -> Tensor:
    """Means over blocks of CELL pixels a side; what does not fill a block is left out.

    Args:
        x: (n, c, h, w), at least CELL pixels a side.

    Returns:
        (n, c, h / CELL, w / CELL).
    """
    return functional.avg_pool2d(single(x), CELL)


def brightness_loss(fused: Tensor, thermal: Tensor, visible: Tensor, target_weight: float = 2.0
                    ) -> Tensor:
    """Distance of the coarse brightness to where it should be, `mean w (|d| + 3 d^2)`.

    Targets (one to two and a half deviations above the thermal mean of the scene, and no darker in
    the thermal image than in the visible one) are to be as bright as the brighter source. Elsewhere
    the visible brightness is to be kept; what is dark may become brighter, and where a large area
    is saturated the thermal image is free to show what it has. A lamp is small and stays. The
    square makes a sky that goes dark cost more than a little everywhere, and darkening counts
    double: it hides what brightening would only dim.

    Args:
        fused: (n, 1, h, w) in 0..1.
        thermal: source of the same shape.
        visible: source of the same shape.
        target_weight: how much more a cell of a target counts than one of the background.

    Returns:
        Scalar, 0 at best.
    """
    f = coarse(fused)
    with torch.no_grad():
        v, t = coarse(visible), coarse(thermal)
        mean = t.mean((2, 3), keepdim=True)
        deviation = t.flatten(2).std(2, correction=0)[..., None, None]
        target = _step((t - mean) / (deviation + 0.02), 1.0, 2.5) * _step(t - v, -0.05, 0.1)
        around = functional.avg_pool2d(v, 5, 1, 2, count_include_pad=False)
        saturated = _step(torch.minimum(v, around), 0.88, 0.98)
        brighter = torch.maximum(v, t)
        kept = torch.where(f < v, 2.0, 0.3 + 0.7 * _step(v, 0.05, 0.3)) * (1 - 0.8 * saturated)
    return (_robust(f - v) * kept * (1 - target)
            + _robust(f - brighter) * target * target_weight).mean()


def glow_loss(fused: Tensor, thermal: Tensor, visible: Tensor, margin: float = 1 / 255) -> Tensor:
    """Slopes of the coarse brightness that neither source has, L1: rims and glows.

    With `d` the difference of two neighbouring cells, of CELL and of 2 CELL pixels, the fused one
    may lie between the smallest and the largest of `0, d_t, d_v, d_t + d_v`; the excess counts. A
    halo is such a slope: in a flat sky, towards the roof. An envelope of grey levels does not see
    it where the sources differ.

    Args:
        fused: (n, 1, h, w) in 0..1, at least 4 CELL pixels a side.
        thermal: source of the same shape.
        visible: source of the same shape.
        margin: excess that does not count.

    Returns:
        Scalar, 0 for any constant mixture of the sources whose shares add up to at most 1.
    """
    total = fused.new_zeros(())
    planes = coarse(torch.cat((fused, thermal, visible), 1))
    for _ in range(2):
        for axis in (2, 3):
            f, t, v = planes.diff(dim=axis).split(1, 1)
            with torch.no_grad():
                explained = torch.cat((t, v, t + v), 1)
                high = explained.amax(1, keepdim=True).clamp_min(0) + margin
                low = explained.amin(1, keepdim=True).clamp_max(0) - margin
            total = total + (torch.relu(f - high) + torch.relu(low - f)).mean()
        planes = functional.avg_pool2d(planes, 2)
    return total / 4


def _robust(error: Tensor) -> Tensor:
    return error.abs() + 3 * error.square()


def _step(x: Tensor, low: float, high: float) -> Tensor:
    """Rise smoothly from 0 at `low` to 1 at `high` (cubic Hermite)."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return (3 - 2 * t) * t * t
