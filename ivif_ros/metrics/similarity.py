# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""SSIM and MS-SSIM of fused images with each of their sources, on tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from ivif_ros.metrics.windows import Moments, box, gaussian, moments

SSIM_SIDE = 7
"""Side of the window of SSIM, and shortest side of an image."""

MULTI_SCALE_SIDE = 161
"""Shortest side of an image for MS-SSIM: its window of 11 pixels fits at the fifth scale."""

_MIDDLE = 128
"""Grey level that moments are taken about: variances are differences of moments, which should be no
larger than they must in single precision."""

_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def structural_similarity(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute SSIM, see `fusion.structural_similarity`.

    Args:
        fused: (n, 1, H, W) uint8.
        sources: (n, k, H, W) uint8.

    Returns:
        (n, k) float64.
    """
    # Sums of whole numbers below 2^24 are exact in single precision.
    count = SSIM_SIDE ** 2
    sums = moments(fused.float() - _MIDDLE, sources.float() - _MIDDLE, box(SSIM_SIDE))
    # Sample covariances: over all pixels of a window but one.
    luminance, structure = _terms(
        Moments(*(each.div_(count) for each in sums)), count / (count - 1))
    return _mean(luminance.mul_(structure))


def multi_scale_similarity(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute MS-SSIM, see `fusion.multi_scale_structural_similarity`.

    Args:
        fused: (n, 1, H, W) uint8.
        sources: (n, k, H, W) uint8.

    Returns:
        (n, k) float64.
    """
    window = gaussian(11, 1.5)
    f, s = fused.float() - _MIDDLE, sources.float() - _MIDDLE
    product = torch.ones(sources.shape[:2], dtype=torch.float64, device=f.device)
    for scale, weight in enumerate(_SCALES):
        if scale:
            f, s = _half(f), _half(s)
        luminance, structure = _terms(moments(f, s, window))
        if scale == len(_SCALES) - 1:
            structure.mul_(luminance)
        product *= _mean(structure).clamp_min_(0) ** weight
    return product


def _half(x: Tensor) -> Tensor:
    """Means of 2x2 pixels; where a side is odd, black pixels surround the image."""
    padding = x.shape[2] % 2, x.shape[3] % 2
    if any(padding):
        return F.avg_pool2d(x + _MIDDLE, 2, padding=padding) - _MIDDLE
    return F.avg_pool2d(x, 2)


def _terms(means: Moments, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast with structure, (n, k, h, w) each.

    Args:
        means: moments about _MIDDLE; they are overwritten.
        scale: factor of the (co)variances.
    """
    f, s, ff, ss, fs = means
    ff.addcmul_(f, f, value=-1)
    ss.addcmul_(s, s, value=-1)
    fs.addcmul_(f, s, value=-1)
    structure = fs.mul_(2 * scale).add_(_C2).div_(ss.add_(ff).mul_(scale).add_(_C2))
    f, s = f + _MIDDLE, s.add_(_MIDDLE)
    luminance = (f * s).mul_(2).add_(_C1).div_(s.square_().add_(f.square_()).add_(_C1))
    return luminance, structure


def _mean(x: Tensor) -> Tensor:
    """Mean of each plane, (n, k) float64."""
    return x.sum((2, 3), dtype=torch.float64) / (x.shape[2] * x.shape[3])
