# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Content and style in a feature space (Gatys et al. 2016), the transfer loss of UFGAN.

`features` is a module that turns (n, 1, h, w) planes into a list of (n, c, h, w) maps, for
instance `features.FixedFeatures`. Its parameters should be frozen.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ivif_ros.training.losses.filters import exact, single
from ivif_ros.training.losses.pixel import total_variation

Features = Callable[[Tensor], list[Tensor]]
"""Planes (n, 1, h, w) -> feature maps, from fine to coarse."""


def content_loss(fused: Tensor, source: Tensor, features: Features) -> Tensor:
    """Mean squared difference of the features, averaged over the levels."""
    with torch.no_grad():
        targets = features(source)
    return _mean([((f - s) ** 2).mean() for f, s in zip(features(fused), targets, strict=True)])


def gram_matrix(feature: Tensor) -> Tensor:
    """`G = F F^T / (h w)` of (n, c, h, w): correlations of channels, (n, c, c), float32."""
    with exact(feature):
        flat = single(feature).flatten(2)
        return flat @ flat.transpose(1, 2) / flat.shape[2]


def style_loss(fused: Tensor, source: Tensor, features: Features) -> Tensor:
    """Mean squared difference of the Gram matrices, averaged over the levels.

    It compares textures wherever they are. Too much of it pulls the result to the source (UFGAN).
    """
    with torch.no_grad():
        targets = [gram_matrix(f) for f in features(source)]
    return _mean([((gram_matrix(f) - g) ** 2).mean()
                  for f, g in zip(features(fused), targets, strict=True)])


def transfer_loss(fused: Tensor, content: Tensor, style: Tensor, features: Features,
                  style_weight: float = 1.0, variation_weight: float = 0.0) -> Tensor:
    """`L_st = L_content + k L_style + lambda L_tv` (UFGAN).

    Args:
        fused: (n, 1, h, w) in 0..1.
        content: image whose features are kept place by place.
        style: image whose textures are kept.
        features: see the module.
        style_weight: k.
        variation_weight: lambda, of the total variation.

    Returns:
        Scalar, 0 or more.
    """
    with torch.no_grad():
        places = features(content)
        textures = [gram_matrix(f) for f in features(style)]
    found = features(fused)
    loss = _mean([((f - s) ** 2).mean() for f, s in zip(found, places, strict=True)])
    loss = loss + style_weight * _mean([
        ((gram_matrix(f) - g) ** 2).mean() for f, g in zip(found, textures, strict=True)])
    if variation_weight:
        loss = loss + variation_weight * total_variation(fused)
    return loss


def _mean(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).mean()
