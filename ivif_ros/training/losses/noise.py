# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Noise: in flat areas the fused image may be no grainier than the grainier source."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ivif_ros.training.losses.filters import box_mean, single

CELL = 8
"""Grain is measured over cells of so many pixels a side."""

FLAT = 3 / 255
"""Deviation below which a cell counts as flat: what it has is noise."""


def noise_gain_loss(fused: Tensor, thermal: Tensor, visible: Tensor) -> Tensor:
    """Grain of the fused image above that of both sources, in cells that are flat in both, L1.

    Grain is the standard deviation of `x - mean of 3x3` within a cell. Two details added, or one
    sharpened, make more of it than there was; figures such as SF reward just that.

    Args:
        fused: (n, 1, h, w) in 0..1, at least CELL pixels a side.
        thermal: source of the same shape.
        visible: source of the same shape.

    Returns:
        Scalar, 0 where no flat cell became grainier.
    """
    with torch.no_grad():
        grain = torch.maximum(_grain(thermal), _grain(visible))
        flat = (2 - grain / FLAT).clamp(0, 1)
    return (torch.relu(_grain(fused) - grain) * flat).mean()


def _grain(image: Tensor) -> Tensor:
    """Deviation of the finest details of each cell, (n, 1, h / CELL, w / CELL)."""
    fine = single(image)
    fine = fine - box_mean(fine, 3)
    return torch.sqrt(functional.avg_pool2d(fine * fine, CELL) + 1e-8)
