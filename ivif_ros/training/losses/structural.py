# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Structural similarity as a loss, at one scale and at several."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from ivif_ros.training.losses.fidelity import StructuralSimilarity
from ivif_ros.training.losses.filters import check_planes, single

_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ssim_loss(fused: Tensor, thermal: Tensor, visible: Tensor,
              thermal_weight: float | Tensor = 0.5) -> Tensor:
    """`w (1 - SSIM(f, t)) + (1 - w) (1 - SSIM(f, v))`, see `fidelity.StructuralSimilarity`.

    Args:
        fused: (n, 1, h, w) in 0..1, at least 7 pixels a side.
        thermal: source of the same shape.
        visible: source of the same shape.
        thermal_weight: 0..1, or (n,) for each image.

    Returns:
        Scalar, 0 where the fused image equals both sources.
    """
    check_planes(fused=fused, thermal=thermal, visible=visible)
    similarity = StructuralSimilarity(torch.cat((thermal, visible), 1).detach())(fused)
    return (thermal_weight * (1 - similarity[:, 0])
            + (1 - thermal_weight) * (1 - similarity[:, 1])).mean()


def ssim_to(fused: Tensor, source: Tensor) -> Tensor:
    """`1 - SSIM` to one image: reconstruction, as DenseFuse's auto-encoder trains."""
    check_planes(fused=fused, source=source)
    return (1 - StructuralSimilarity(source.detach())(fused)).mean()


def ms_ssim_loss(fused: Tensor, thermal: Tensor, visible: Tensor,
                 thermal_weight: float | Tensor = 0.5, scales: int = 3) -> Tensor:
    """Multi-scale SSIM (Wang, Simoncelli and Bovik 2003) as a loss, weighted as `ssim_loss`.

    Contrast and structure are taken at each scale, luminance at the coarsest; the image is halved
    by averaging. The published exponents of five scales are cut to the number of scales and made
    to sum to 1. Negative structure counts as none: a root of it does not exist.

    Raises:
        ImageError: less than 7 pixels a side at the coarsest scale.
        ValueError: scales outside 1..5.
    """
    check_planes(fused=fused, thermal=thermal, visible=visible)
    if not 1 <= scales <= len(_SCALE_WEIGHTS):
        raise ValueError(f'scales of MS-SSIM is 1 to {len(_SCALE_WEIGHTS)}, not {scales}')
    exponents = [w / sum(_SCALE_WEIGHTS[:scales]) for w in _SCALE_WEIGHTS[:scales]]
    f = single(fused)
    sources = torch.cat((single(thermal), single(visible)), 1).detach()
    similarity = torch.ones_like(sources[:, :, 0, 0])
    for scale, exponent in enumerate(exponents, 1):
        luminance, contrast = StructuralSimilarity(sources).maps(f)
        product = contrast if scale < scales else luminance * contrast
        similarity = similarity * product.mean((2, 3)).clamp_min(1e-4) ** exponent
        if scale < scales:
            f, sources = F.avg_pool2d(f, 2), F.avg_pool2d(sources, 2)
    return (thermal_weight * (1 - similarity[:, 0])
            + (1 - thermal_weight) * (1 - similarity[:, 1])).mean()
