# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of gradients: SF, AG and Qabf, on tensors.

Differences of 8-bit images are whole numbers, or halves, below 2^24: single precision holds them
exactly. Only means are taken in float64.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def spatial_frequency(image: Tensor) -> Tensor:
    """Compute SF, see `fusion.spatial_frequency`; (n, H, W) uint8 to (n,)."""
    x = image.float()
    squares = [_mean(x.diff(dim=axis).square()) for axis in (1, 2)]
    return torch.sqrt(squares[0] + squares[1])


def average_gradient(image: Tensor) -> Tensor:
    """Compute AG, see `fusion.average_gradient`; (n, H, W) uint8 to (n,)."""
    dy, dx = torch.gradient(image.float(), dim=(1, 2))
    return _mean(torch.sqrt((dx * dx + dy * dy) / 2))


def edge_preservation(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute Qabf, see `fusion.edge_preservation`.

    Args:
        fused: (n, 1, H, W) uint8.
        sources: (n, k, H, W) uint8.

    Returns:
        (n,) float64; 1 for sources without any edge.
    """
    gf, af = _edges(fused)
    gs, angle = _edges(sources)
    # Where neither has an edge, the weight gs is 0 whatever the ratio.
    strength = torch.minimum(gs, gf).div_(torch.maximum(gs, gf).clamp_min_(1))
    turn = (angle - af).abs_()
    # The sigmoids of 15 (strength - 0.5) and 22 (1 - turn / (pi / 2) - 0.8).
    kept = strength.mul_(15).sub_(15 * 0.5).sigmoid_()
    kept.mul_(turn.mul_(-22 / (math.pi / 2)).add_(22 * 0.2).sigmoid_())
    total = _sum(gs)
    return torch.where(total > 0, 0.9994 * 0.9879 * _sum(kept.mul_(gs)) / total, 1.0)


def _edges(image: Tensor) -> tuple[Tensor, Tensor]:
    """Strength and orientation of the Sobel gradient, zeros outside the image.

    The orientation is mirrored, and +pi/2 where the gradient is vertical, as in the published
    evaluators: near the vertical the sign decides, so the other convention moves Qabf by 0.002.
    """
    x = F.pad(image.float(), (1, 1, 1, 1))
    across = x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]
    along = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    gx = across[..., 2:] - across[..., :-2]
    gy = along[..., 2:, :] - along[..., :-2, :]
    angle = torch.atan(-gy / gx).masked_fill_(gx == 0, math.pi / 2)
    return torch.sqrt(gx * gx + gy * gy), angle


def _sum(x: Tensor) -> Tensor:
    """Sum of all pixels, (n, ...) to (n,) float64."""
    return x.flatten(1).sum(1, dtype=torch.float64)


def _mean(x: Tensor) -> Tensor:
    """Mean of all pixels, (n, ...) to (n,) float64."""
    return _sum(x) / x[0].numel()
