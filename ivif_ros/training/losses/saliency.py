# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Saliency: where the thermal image shows targets, the fused image follows it.

The idea of STDFusionNet (targets from the thermal image, background from the visible one; its masks
were drawn by hand) and of TarDAL (weights from the visual saliency of both). Masks have no
derivative.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ivif_ros.training.losses.filters import blur, single
from ivif_ros.training.losses.pixel import error, intensity_weighted


@torch.no_grad()
def target_mask(thermal: Tensor, deviations: float = 1.5, softness: float = 0.05,
                sigma: float = 1.0) -> Tensor:
    """Soft mask of what is warmer than its scene.

    `sigmoid((blur(t) - mean - deviations * std) / softness)`, mean and std of each image.

    Args:
        thermal: (n, 1, h, w) in 0..1, warm is bright.
        deviations: threshold above the mean, in standard deviations.
        softness: width of the transition, in units of the image.
        sigma: of the Gaussian that keeps noise from flickering in the mask, in pixels.

    Returns:
        (n, 1, h, w) in 0..1; 0.5 at the threshold. A constant image has no targets: 0.
    """
    t = blur(single(thermal), sigma)
    mean = t.mean((2, 3), keepdim=True)
    std = t.std((2, 3), keepdim=True, correction=0)
    mask = torch.sigmoid((t - mean - deviations * std) / softness)
    return torch.where(std > 1e-3, mask, 0.0)


@torch.no_grad()
def histogram_saliency(image: Tensor) -> Tensor:
    """Visual saliency map from the histogram (Zhai and Shah 2006): rare levels stand out.

    `S(x) = sum over levels j of p(j) |x - j|` over 256 levels, divided by the largest of the image.

    Args:
        image: (n, 1, h, w) in 0..1.

    Returns:
        (n, 1, h, w) in 0..1; zeros for a constant image.
    """
    n = len(image)
    levels = (single(image) * 255).round().clamp(0, 255).long().view(n, -1)
    offset = torch.arange(n, device=image.device).view(n, 1) * 256
    p = torch.bincount((levels + offset).view(-1), minlength=256 * n).view(n, 256)
    grey = torch.arange(256, device=image.device, dtype=torch.float32)
    distances = (grey.view(-1, 1) - grey).abs()
    table = (p.view(n, 1, 256) * distances).sum(2) / levels.shape[1]
    saliency = table.gather(1, levels).view(image.shape)
    return (saliency / saliency.amax((2, 3), keepdim=True).clamp_min(1e-6)).to(
        single(image).dtype)


def saliency_weights(thermal: Tensor, visible: Tensor) -> Tensor:
    """Weight of the thermal image per pixel, `S(t) / (S(t) + S(v))`; 0.5 where neither stands out.

    `S` is `histogram_saliency`; the weights of TarDAL's pixel loss.
    """
    t, v = histogram_saliency(thermal), histogram_saliency(visible)
    return (t + 1e-6) / (t + v + 2e-6)


def saliency_intensity(fused: Tensor, thermal: Tensor, visible: Tensor,
                       power: int = 1) -> Tensor:
    """`mean w |f - t|^p + (1 - w) |f - v|^p` with `saliency_weights`."""
    return intensity_weighted(fused, thermal, visible, saliency_weights(thermal, visible), power)


def target_intensity(fused: Tensor, thermal: Tensor, visible: Tensor,
                     mask: Tensor | None = None, power: int = 1) -> Tensor:
    """Thermal image in the targets, visible image in the background, both counting alike.

    `mean(m |f - t|^p) / mean(m) + mean((1 - m) |f - v|^p) / mean(1 - m)`: small targets are not
    outvoted by the background, as the loss regions of STDFusionNet.

    Args:
        fused: (n, 1, h, w) in 0..1.
        thermal: source of the same shape.
        visible: source of the same shape.
        mask: (n, 1, h, w) in 0..1, or None for `target_mask(thermal)`.
        power: 1 or 2.

    Returns:
        Scalar, 0 at best.
    """
    m = target_mask(thermal) if mask is None else mask
    total = m.new_tensor(m.numel())
    inside, outside = m.sum(), (1 - m).sum()
    # A thousandth of the area as the least: an image with hardly a target is all background.
    return ((m * error(fused - thermal, power)).sum() / inside.clamp_min(1e-3 * total)
            + ((1 - m) * error(fused - visible, power)).sum() / outside.clamp_min(1e-3 * total))
