# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses of single pixels and small neighbourhoods: intensity, gradient, detail, variation.

Planes are (n, 1, h, w) in 0..1. Each loss is a mean over pixels and batch, 0 at its best.
`power` 1 is the absolute error (L1), 2 the squared error (L2). Weights of the thermal image are
numbers in 0..1 or tensors that broadcast to the planes, per image (n, 1, 1, 1) or per pixel; the
visible image has the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ivif_ros.training.losses.filters import gradient_magnitude, laplacian, sobel


def intensity_of(fused: Tensor, source: Tensor, power: int = 1) -> Tensor:
    """Distance to one source, `mean |f - s|^p` (FusionGAN's infrared term with p = 2)."""
    return error(fused - source, power).mean()


def intensity_max(fused: Tensor, thermal: Tensor, visible: Tensor, power: int = 1) -> Tensor:
    """Distance to the brighter source, `mean |f - max(t, v)|^p` (SeAFusion, PIAFusion)."""
    return intensity_of(fused, torch.maximum(thermal, visible), power)


def intensity_average(fused: Tensor, thermal: Tensor, visible: Tensor, power: int = 1) -> Tensor:
    """Distance to the mean of the sources, `mean |f - (t + v) / 2|^p`."""
    return intensity_of(fused, (thermal + visible) / 2, power)


def intensity_weighted(fused: Tensor, thermal: Tensor, visible: Tensor,
                       thermal_weight: float | Tensor = 0.5, power: int = 1) -> Tensor:
    """Weighted distances to both sources, `mean w |f - t|^p + (1 - w) |f - v|^p`.

    With per-pixel weights and p = 2 this is the intensity term of TDFusion, whose weights a network
    makes; their derivative is kept. p = 2 is least at the weighted mean, p = 1 at the source that
    has more weight.
    """
    return (thermal_weight * error(fused - thermal, power)
            + (1 - thermal_weight) * error(fused - visible, power)).mean()


def gradient_of(fused: Tensor, source: Tensor, power: int = 2) -> Tensor:
    """Distance to the signed Sobel gradient of one source, per axis.

    `mean |gx(f - s)|^p + |gy(f - s)|^p` over 4, so that a step of height 1 counts 1. FusionGAN's
    visible term `|nabla f - nabla v|^2` with p = 2.
    """
    gx, gy = sobel(fused - source)
    return (error(gx / 4, power) + error(gy / 4, power)).mean()


def gradient_max(fused: Tensor, thermal: Tensor, visible: Tensor) -> Tensor:
    """Distance of gradient strengths, `mean | |nabla f| - max(|nabla t|, |nabla v|) |`.

    Sobel strengths over 4 (SeAFusion, TDFusion and many more). It does not see directions: an edge
    of inverted contrast is as good.
    """
    target = torch.maximum(gradient_magnitude(thermal), gradient_magnitude(visible))
    return (gradient_magnitude(fused) - target).abs().mean() / 4


def gradient_joint(fused: Tensor, thermal: Tensor, visible: Tensor, power: int = 1) -> Tensor:
    """Distance to the signed gradient of the source whose gradient is stronger there.

    Both components are of one source, so that direction and polarity of its edge are kept, which
    `gradient_max` leaves open. Sobel over 4.
    """
    tx, ty = sobel(thermal)
    vx, vy = sobel(visible)
    stronger = tx * tx + ty * ty > vx * vx + vy * vy
    fx, fy = sobel(fused)
    return (error((fx - torch.where(stronger, tx, vx)) / 4, power)
            + error((fy - torch.where(stronger, ty, vy)) / 4, power)).mean()


def high_frequency(fused: Tensor, thermal: Tensor, visible: Tensor, power: int = 1) -> Tensor:
    """Distance to the stronger of the signed Laplacians (four neighbours, over 4) per pixel."""
    t, v = laplacian(thermal), laplacian(visible)
    target = torch.where(t.abs() > v.abs(), t, v)
    return error((laplacian(fused) - target) / 4, power).mean()


def total_variation(image: Tensor, power: int = 1) -> Tensor:
    """Total variation, `mean |x(i, j) - x(i + 1, j)|^p` + the same along the other axis.

    METHODS of style transfer add it against checkerboards and noise (p = 1: Rudin, Osher and
    Fatemi 1992). Of the difference to a source it is the gradient term of DenseFuse's successors.
    """
    down = error(image[..., 1:, :] - image[..., :-1, :], power)
    across = error(image[..., 1:] - image[..., :-1], power)
    return down.mean() + across.mean()


def error(difference: Tensor, power: int) -> Tensor:
    """Absolute (1) or squared (2) differences.

    Raises:
        ValueError: another power.
    """
    if power == 1:
        return difference.abs()
    if power == 2:
        return difference * difference
    raise ValueError(f'power of an error is 1 or 2, not {power}')
